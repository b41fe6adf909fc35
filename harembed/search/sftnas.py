"""SFTNAS (Zhou et al., "NAS meets pruning"): train one super-net, take networks out of it, score them, choose.

1. The super-net learns weights and gates on some training subjects and its architecture on others, under a
   rising price of MACs (bilevel.py). At the end of each rung it proposes networks. Other processes train step 2's
   random networks meanwhile.
2. Proposals that no limit forbids, and some networks drawn at random (newcomers.py), are trained from scratch for
   a few epochs and scored on a fold of the training subjects; the better ones are entrants (score.py).
3. Entrants are trained half again as long, on two folds. The best are varied for a few generations, whose members are
   judged in the same way (vary.py).
4. Finalists are trained on every fold; one is chosen (select.py).

Newcomers, generations and finals are not in the paper, which takes the super-net's most likely network.

Training and judging candidates is the business of contest.py. Test subjects never come in here. Everything that was
finished is on disk, so a killed search goes on where it was, with the same result as one that was not killed.
"""

import random
from collections.abc import Iterator

import torch

from harembed.data.recording import Windows
from harembed.data.split import hold_out_subjects
from harembed.errors import SearchError
from harembed.models.supernet import SuperNet, SuperSpace, strides
from harembed.rundir import RunDir
from harembed.search.bilevel import Bilevel, Split
from harembed.search.candidate import Candidate, architecture_id, derived_seed
from harembed.search.contest import Contest, Progress, nothing_fits, open_contest
from harembed.search.effort import Effort
from harembed.search.newcomers import draw_fitting
from harembed.search.result import SearchResult
from harembed.search.score import Rejected, cost_scores, make_fold, sort_out, violations
from harembed.search.select import best_first, some_of_every_size
from harembed.search.settings import SearchSettings
from harembed.search.vary import vary
from harembed.space import Architecture
from harembed.train.loop import state_from_bytes, state_to_bytes
from harembed.train.one_thread import one_thread

CHECKPOINT = "supernet.pt"
CHECKPOINT_EVERY = 2  # epochs


def search(windows: Windows, settings: SearchSettings, rundir: RunDir,
           progress: Progress = lambda stage, done, of, figures: None) -> SearchResult:
    """Find a network for a dataset within limits.

    Parameters
    ----------
    windows : Windows      of all training subjects; validation subjects are taken out of them here
    settings : SearchSettings
    rundir : RunDir        gets supernet.pt (checkpoint) and ledger.jsonl; what it holds already is not done again
    progress : called after every epoch of the super-net ("super-net") and every
        scoring ("scoring", "entrants", "refining", "finals")

    Raises
    ------
    SearchError    no proposal stays within the limits; says which came nearest and what it needs.
                   Or the budget of epochs does not suffice
    """
    effort = Effort(settings, windows)
    effort.need(effort.sftnas_start)
    with open_contest(windows, settings, rundir, progress) as contest:
        limited = settings.channels is not None and settings.channels < contest.shape[1]
        # Most newcomers with a limit of channels take those that the super-net prefers; others need not wait for it.
        early = [] if limited else _newcomers(contest, set())
        screened = contest.begin_screening(early)  # beside the super-net, which is trained in one process
        with one_thread():
            bilevel = train_supernet(windows, settings, rundir, progress)
        proposed, rejected = _proposed(bilevel, settings, {c.id for c in early})
        if limited:
            proposed += _newcomers(contest, {c.id for c in proposed}, bilevel.net.input_gate.open())
        proposals = contest.begin_screening(proposed)
        total = len(early) + len(proposed)
        best = _run(contest, [*screened(0, total), *proposals(len(early), total)])
        weights = next((p.weights for p in bilevel.proposals if p.id == best.id), None)
        return contest.result(best, rejected, bilevel.history, effort.supernet, weights)


def super_space(windows: Windows, settings: SearchSettings) -> SuperSpace:
    """The super-net for windows of this length and these channels: filters grow with depth, which is the trend
    that the paper found in its results (fig. 5b)."""
    window, sensors, classes = windows.shape
    if window < 8:
        raise SearchError(f"Windows of {window} samples are too short to search a network for.",
                          "Use --window with at least 8 samples.")
    first, last = settings.filters
    depth = len(strides(window))
    filters = tuple(first + (last - first) * (i // 2) // max(depth // 2 - 1, 1) for i in range(depth))
    return SuperSpace(window, sensors, classes, filters, paddings=settings.paddings,
                      tails=settings.tails, threshold=settings.bilevel.threshold)


def train_supernet(windows: Windows, settings: SearchSettings, rundir: RunDir, progress: Progress) -> Bilevel:
    """Train the super-net to its end, or on from the last checkpoint."""
    held_seed = derived_seed(settings.seed, "architecture subjects")
    fold = make_fold(*hold_out_subjects(windows, settings.bilevel.held_out, held_seed), settings.vectors,
                     settings.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(settings.seed, "super-net"))
        net = SuperNet(super_space(windows, settings))
    split = Split(fold.x, fold.y, fold.x_val, torch.from_numpy(fold.y_val).to(fold.x.device), fold.sensors)
    bilevel = Bilevel(net, split, settings.bilevel, settings.recipe, settings.seed,
                      settings.live_limit_bytes, settings.macs_target, settings.samples,
                      lambda arch: not violations(arch, cost_scores(arch, settings), settings), settings.channels)
    if rundir.has(CHECKPOINT):
        bilevel.restore(state_from_bytes(rundir.file(CHECKPOINT).read_bytes()))
    while bilevel.epoch < settings.bilevel.epochs:
        figures = bilevel.run_epoch()
        if bilevel.epoch % CHECKPOINT_EVERY == 0 or bilevel.epoch == settings.bilevel.epochs:
            rundir.write(CHECKPOINT, state_to_bytes(bilevel.state()))
        progress("super-net", bilevel.epoch, settings.bilevel.epochs, figures)
    return bilevel


def _newcomers(contest: Contest, known: set[str], preferred: tuple[int, ...] = ()) -> list[Candidate]:
    """Drawn at random. Where channels are limited, most of them get those that the super-net preferred.

    On DSADS (people 2 to 4, one seed, 12 epochs) a small network had a macro F1 of 0.838 with its 15 and of 0.836
    with all 45, on validation people; with three random sets of 15 it had 0.784, 0.815 and 0.831.
    """
    s = contest.settings
    rng = random.Random(derived_seed(s.seed, "newcomers"))
    return draw_fitting(rng, contest.shape, s, s.newcomers, known, {"drawn": "newcomer"}, preferred)[0]


def _proposed(bilevel: Bilevel, settings: SearchSettings, known: set[str]) -> tuple[list[Candidate], Rejected]:
    """What the super-net proposes within the limits and is not known yet, some of every size; and what is not.

    Raises
    ------
    SearchError    nothing is within the limits
    """
    fitting, rejected = sort_out([Candidate(p.architecture, cost_scores(p.architecture, settings), p.origin)
                                  for p in bilevel.proposals], settings)
    if not fitting:
        raise nothing_fits(rejected, "Raise --ram, --macs or --latency, or give the search more epochs with "
                                     "--search-epochs.")
    return some_of_every_size([c for c in fitting if c.id not in known], settings.candidates), rejected


def _run(contest: Contest, everybody: list[Candidate]) -> Candidate:
    """Of all that had a short training: entrants and generations of neighbours of the best by one or two full ones;
    then the finals."""
    s = contest.settings
    field = contest.entrants(everybody)
    for generation, wanted, before, total in _generations(contest):
        known = {c.id for c in (*everybody, *field)}
        children = _children(contest, field, known, generation, wanted)
        everybody = [*everybody, *children]
        if not children and s.train_epochs is not None:
            break  # a corner without neighbours: the budget cannot be spent
        once = contest.train("refining", children, 1, before, total)
        bar = _first_trial(best_first(field)[: s.parents][-1])
        passed = [c for c in once if _first_trial(c) >= bar]
        field += contest.train("refining", passed, contest.effort.trials, before, total)
    return contest.finals(field)


def _generations(contest: Contest) -> Iterator[tuple[int, int, int, int]]:
    """(generation, children, children before it, children in all): so many as the settings say, or, with a budget of
    epochs, as long as it lasts. The last number is an estimate then."""
    s, effort = contest.settings, contest.effort
    if s.train_epochs is None:
        for generation in range(s.generations):
            yield generation, s.children, generation * s.children, s.generations * s.children
        return
    generation = before = 0
    while (left := (s.train_epochs - effort.supernet - contest.epochs - effort.finals) // effort.two_trials) > 0:
        wanted = min(s.children, left)
        yield generation, wanted, before, before + left
        generation, before = generation + 1, before + wanted


def _children(contest: Contest, field: list[Candidate], known: set[str], generation: int,
              wanted: int) -> list[Candidate]:
    """New networks within the limits, each a neighbour of one of the best so far. A generation is proposed at
    once, so its members can be scored in any order or side by side."""
    s = contest.settings
    parents = best_first(field)[: s.parents]
    rng = random.Random(derived_seed(s.seed, "generation", generation))
    children: list[Candidate] = []
    for _ in range(100 * s.children):  # most tries are repetitions or too large; a corner may have no neighbour
        parent = rng.choice(parents)
        assert isinstance(parent.architecture, Architecture)  # neither the super-net nor chance makes branches here
        arch = vary(parent.architecture, rng, contest.shape[1], s.channels)
        if arch is None or architecture_id(arch) in known:
            continue
        scores = cost_scores(arch, s)
        if not violations(arch, scores, s):
            known.add(architecture_id(arch))
            children.append(Candidate(arch, scores, {"generation": generation, "parent": parent.id}))
        if len(children) == wanted:
            break
    return children


def _first_trial(candidate: Candidate) -> float:
    return candidate.scores.final_f1[0].value
