"""Figure 5 of Zhou et al. (SFTNAS): time against macro F1 on the board, and filters by layer.

The paper varies beta1, the weight of the complexity loss, on TinyHAR and UCI-HAR with L_Mem = 96 kB. Its text prints
no numbers of the figure. Here the complexity loss acts only above the limit of MACs (search/settings.py says why), so
the limit is what trades time for score; both are varied, one at a time.
"""

from harembed.reproduce.definitions import ALL_WINDOWS, Budget, Printed, Row, Table
from harembed.reproduce.sftnas import PAPER

BETA1 = (0.03, 0.3, 3.0)
BETA1_MACS = 200_000  # the limit while beta1 is varied
MACS = (30_000, 65_000, 120_000, 400_000)
_BOARD = {"strategy": "sftnas", "tail": "tinyhar", "board": "nucleo_l552ze_q", "ram": 96_000}


def _beta1_row(beta1: float) -> Row:
    return Row(f"beta1 {beta1:g}", Printed(), {**_BOARD, "beta1": beta1, "macs": BETA1_MACS}, "firmware", "beta1")


def _macs_row(macs: int) -> Row:
    return Row(f"{macs // 1000} k MACs", Printed(), {**_BOARD, "macs": macs}, "firmware", "limit of MACs")


FIGURE_5 = Table(
    name="sftnas-figure-5", title=f"{PAPER}, figure 5", subject="UCI-HAR", dataset="uci-har",
    archive="UCI HAR Dataset.zip", metric="macro_f1", by_subject=True,
    new_people="the paper's split tests on new people: the same figure",
    rows=(*map(_beta1_row, BETA1), *map(_macs_row, MACS)),
    budgets={
        "paper": Budget(seeds=5, minutes={"sftnas": 1}, settings={
            "sftnas": {"search_epochs": 200, "search_windows": ALL_WINDOWS, "float_epochs": 200, "qat_epochs": 16}}),
        "desk": Budget(seeds=1, minutes={"sftnas": 14}, settings={
            "sftnas": {"search_epochs": 32, "float_epochs": 60, "qat_epochs": 12}})},
    remarks=(f"beta1 is varied under a limit of {BETA1_MACS:,} MACs, the limit of MACs with beta1 = 0.3. The paper "
             "prints no numbers of its figure.",),
    drawn=True,
)
