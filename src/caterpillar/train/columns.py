"""Names of the entries of the driver's table of integers, T; see layout.py for what lies where."""

PANELS = 2
MATRIX, FINISH, DIRECT, OUTPUT = 0, 1, 2, 3
ACTIVATION_CODES = {"relu": 0, "tanh": 1, "sigmoid": 2}  # as in numerics.functions
KINDS = {"matrix": MATRIX, "finish": FINISH, "direct": DIRECT, "output": OUTPUT}

# T begins with the run's numbers, and with where its other parts start: in T itself, SCRATCH in F, AHEAD in W
(BATCH, SAMPLES, BATCHES, CODE, SKIP, THREADS, DEPTH, STEPS) = range(8)
(LAYER_ROWS, STEP_ROWS, ORDER, LABELS, LISTS, LIST_WORDS, STATUS) = range(8, 15)
(SCRATCH, SCRATCH_WORDS, AHEAD, AHEAD_WORDS, ORDERED, SEED, BATCHES_BEFORE, FAR, HEADER) = range(15, 24)

# A step's row; a lag of -1 means that the operation is absent; its constants lie in F
(KIND, LAYER, LAG, OUTPUT_LAYER, BARRIER, BACKWARD_LAG, UPDATE_LAG, FORWARD_LAG) = range(8)
(THROUGH_FEEDBACK, HAS_VELOCITY, LOOKS_AHEAD, CONSTANTS, STEP_COLUMNS) = range(8, 13)

# A step's constants, for full batches, and again for the last one
(RATE, BOOST, MOMENTUM, VELOCITY_SCALE, GRADIENT_SCALE, AHEAD_RATE, RATE_COLUMNS) = range(7)

# A layer's row (0: the input); two of each from FIRST on, one a panel; places in F, from WEIGHT on in W, orders in T
(SIZE, PAD, ACTIVATION, ACTIVATION_SLOTS, ERROR, ERROR_SLOTS, PARTS, PARTS_SLOTS, PANEL_COUNT) = range(9)
(FIRST, LAST, WIDTH, STRIDE, WEIGHT, VELOCITY, FEEDBACK) = range(9, 23, 2)
(FEEDBACK_WIDTH, FEEDBACK_STRIDE, WEIGHT_ORDER, FEEDBACK_ORDER, LAYER_COLUMNS) = range(23, 28)

FORWARD_VISITS, BACKWARD_VISITS = 7, 8  # of an order: how far on its visits are, 0 if there are none
BOUNDS = 9  # of an order: where its bounds start (see ordered.py)

STATUS_WORDS = 8  # a thread's: found, tick, layer, code of what; padded to a cache line
BAD_ACTIVATION, BAD_ERROR = 1, 2
WHAT = ("", "NaN or infinity among the activations", "NaN or infinity among the errors")

BLOCK_WORDS = 16384  # of a matrix, worked on by several operations while in cache
FAR_BYTES = 16 << 20  # of matrices: more than that does not stay in the third-level cache from pass to pass
