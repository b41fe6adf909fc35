"""The tables and figures of the papers that this project makes again, and comparisons of the same form.

To add one: its definition, and a line here.
"""

from harembed.errors import RunError, unknown_name
from harembed.reproduce.born_again import BORN_AGAIN_DAPHNET, BORN_AGAIN_UCI_HAR, BORN_AGAIN_WATCH
from harembed.reproduce.channels import CHANNELS
from harembed.reproduce.definitions import Table
from harembed.reproduce.dqn_against_random import DQN_AGAINST_RANDOM
from harembed.reproduce.lego import LEGO_DSADS, LEGO_MOTIONSENSE, LEGO_UCI_HAR
from harembed.reproduce.pellatt import FIGURE_4, FIGURE_4_WATCH, TABLE_6, TABLE_6_WATCH
from harembed.reproduce.sftnas import TABLE_I, TABLE_II, TABLE_III
from harembed.reproduce.sftnas_figure import FIGURE_5
from harembed.reproduce.strategies import STRATEGIES_WATCH

TABLES: dict[str, Table] = {table.name: table for table in (
    TABLE_I, TABLE_II, TABLE_III, FIGURE_5, TABLE_6, FIGURE_4, TABLE_6_WATCH, FIGURE_4_WATCH, DQN_AGAINST_RANDOM,
    STRATEGIES_WATCH, CHANNELS, LEGO_UCI_HAR, LEGO_MOTIONSENSE, LEGO_DSADS,
    BORN_AGAIN_DAPHNET, BORN_AGAIN_UCI_HAR, BORN_AGAIN_WATCH)}


def find_table(name: str) -> Table:
    """A table by name.

    Raises
    ------
    RunError    there is none; lists all
    """
    if name not in TABLES:
        raise RunError(unknown_name("table", name, list(TABLES)), "List them with `harembed reproduce`.")
    return TABLES[name]
