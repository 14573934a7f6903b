"""Names of the columns and entries of the driver's tables."""

PANELS = 2
MATRIX, FINISH, DIRECT, OUTPUT = 0, 1, 2, 3
KINDS = {"matrix": MATRIX, "finish": FINISH, "direct": DIRECT, "output": OUTPUT}

# Columns of Tables.steps; a lag of -1 means that the operation is absent.
(KIND, LAYER, LAG, OUTPUT_LAYER, BARRIER, BACKWARD_LAG, UPDATE_LAG, FORWARD_LAG) = range(8)
(THROUGH_FEEDBACK, HAS_VELOCITY, LOOKS_AHEAD, STEP_COLUMNS) = range(8, 12)

# Columns of Tables.rates[step, 0 for full batches or 1 for the last one]
RATE, BOOST, MOMENTUM, VELOCITY_SCALE, GRADIENT_SCALE, AHEAD_RATE, RATE_COLUMNS = range(7)

# Columns of Tables.layers[l], l = 0 for the input; two of each from PANEL_FIRST on, one a panel.
(SIZE, PAD, ACTIVATION, ACTIVATION_SLOTS, ERROR, ERROR_SLOTS, PARTS, PARTS_SLOTS, PANEL_COUNT) = range(9)
PANEL_FIRST, PANEL_LAST, STRIDE, WEIGHT, FEEDBACK, FEEDBACK_STRIDE, LAYER_COLUMNS = 9, 11, 13, 15, 17, 19, 20

# Entries of Tables.run
BATCH, SAMPLES, BATCHES, ACTIVATION_CODE, SKIP, THREADS, RUN_ENTRIES = range(7)

STATUS_WORDS = 8  # a thread's: found, tick, layer, code of what; padded to a cache line
BAD_ACTIVATION, BAD_ERROR = 1, 2
WHAT = ("", "NaN or infinity among the activations", "NaN or infinity among the errors")

BLOCK_WORDS = 4096  # of a matrix, worked on by several operations while in the first-level cache
