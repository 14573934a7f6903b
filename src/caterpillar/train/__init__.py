"""The trainer: runs any Program, in any of our number formats, to the last bit and fast."""

from caterpillar.train.settings import Settings
from caterpillar.train.state import State, initial_state
from caterpillar.train.trainer import Epoch, train

__all__ = ["Epoch", "Settings", "State", "initial_state", "train"]
