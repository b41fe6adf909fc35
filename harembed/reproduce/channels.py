"""Sensor pruning on DSADS: all 45 channels to choose from against at most a third, one person left out at a time.

No paper prints this table. Zhou et al. prune sensor channels by gates (sec. IV-A) without saying how many remain;
here both searches of a person may spend the same multiply-accumulates, so that what differs is the channels.
"""

from harembed.reproduce.definitions import Budget, Printed, Row, Table

PEOPLE = ("p1", "p2", "p3", "p4")  # who is in the archive at hand; the complete one has eight
THIRD = 15
MACS = 600_000  # with 200,000 a network of all 45 channels is starved: macro F1 0.82 on p1, with these 0.98


def _rows(person: str) -> tuple[Row, Row]:
    settings = {"strategy": "sftnas", "board": "nucleo_l552ze_q", "split": f"loso={person}", "macs": MACS}
    free = Row(f"{person}, no limit", Printed(), settings, "int8")
    third = Row(f"{person}, at most {THIRD}", Printed(), {**settings, "channels": THIRD}, "int8", against=free.key)
    return free, third


CHANNELS = Table(
    name="dsads-channels", title="Sensor pruning, leave one out", subject="DSADS", dataset="dsads",
    archive="DSADS_PARTIAL-subjects-1-4.tar.xz", metric="macro_f1", by_subject=True,
    new_people="the person who is left out: the same figure",
    rows=tuple(row for person in PEOPLE for row in _rows(person)),
    budgets={
        "paper": Budget(seeds=5, minutes={"sftnas": 1}, settings={"sftnas": {}}),
        "desk": Budget(seeds=1, minutes={"sftnas": 12}, settings={
            "sftnas": {"search_epochs": 12, "float_epochs": 32, "qat_epochs": 6, "train_epochs": 500}})},
    remarks=(f"No paper prints this table; budget paper is `harembed search` with --macs {MACS} and five seeds.",
             "Without a limit a search may leave channels out, too: how many of 45 it kept is in the table."),
)
