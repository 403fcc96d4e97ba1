"""A study: joins space, strategy, limits and journal. It asks, is told, and records first.

Every outcome is in the journal, fsynced, before the strategy hears of it. Resuming is folding the events: the
same `History`, the strategy told the same trials in the same order, so that it asks what it would have asked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping

from search_spaces.equivalence import equivalence
from search_spaces.errors import ArchscaleError
from search_spaces.moves import encode
from search_spaces.serialise import Json, from_data, key, to_data

from .admission import Admission
from .afterwards import candidate_of, due, finals_due
from .analysis.front import costs
from .dominance import Costs
from .history import History, Trial, as_judged, ask_payload, carry_payload, tell_payload
from .journal import Journal
from .measured import Measuring
from .plan import Plan
from .proposal import (
    MOST_RETRIES,
    SEARCHING,
    Identity,
    Kind,
    Outcome,
    Proposal,
    Settings,
    Status,
    job_name,
    settled,
)
from .recipe import Candidate
from .spending import Capacity, cap_reached
from .strategies import Request, Scope, Strategy, Told, Wait, no_excess
from .winner import best_confirmed, finalists

Asked = tuple[Trial, Candidate]
BUGS_IN_A_ROW = 5
BUGS_AT_THE_START = 3


class StudyStopped(ArchscaleError):
    """Too many trials failed in a way that is not theirs; the journal is whole and the study resumes."""


class Study:
    """Ask, tell, record. One driver at a time: the journal holds the lock."""

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        *,
        clock: Callable[[], float] = time.time,
        amended: Mapping[str, Json] = {},
    ) -> None:
        self.plan = plan
        self.journal = journal
        self.history = History()
        self._clock = clock
        self._known: set[Identity] = set()
        self._classes: set[tuple[str, str]] = set()  # of twins and recipes, where twins are not asked
        self._recipe_keys: dict[object, str] = {}
        self.measuring = Measuring(plan.providers, self.history, record=self._record, most=plan.most_measured)
        self._admission = Admission(plan.limits, self.measuring)
        self._leader: tuple[Costs, int] | None = (
            None  # of the trainings told: the first that `ranked` would list
        )
        self._to_confirm: tuple[int, list[Trial]] = (0, [])  # as of so many trainings told
        self._pending: list[int] = []
        self.strategy: Strategy = plan.strategy.start(
            Scope(
                space=plan.space,
                seed=plan.seed,
                admits=self._admits,
                admits_job=self._admits_job,
                excess=self._admission.excess if plan.limits else no_excess,
                limits=plan.limits,
                waits=self.history.waits_for,
                hurries=self._cap_is_reached,
                epochs=plan.epochs,
                flying=self._budgets_in_flight,
                begun=lambda: len(self.history.begun),
                trials=plan.trials,
            )
        )
        for event in journal.events:
            self._apply(event.type, event)
        self._pending = list(self.history.untold)
        self._record("start", {"amended": dict(amended)} if amended else {})

    def ask(self) -> tuple[Proposal, int] | None:
        """Return the next (proposal, attempt), recorded; None while nothing can be asked before more is told.

        Order: trials that were in flight, new trials by the strategy, confirmations, final trainings.
        """
        while (asked := self._next()) is not None:
            trial, candidate = asked
            known = self.history.carried.get(trial.identity)
            if known is None or trial.kind is Kind.FINAL:  # which leaves the winner's weights behind
                return self._proposal(trial, candidate), trial.attempts
            self.tell(trial.number, trial.attempts, known)
        return None

    def tell(self, number: int, attempt: int, outcome: Outcome) -> None:
        """Record what came of an attempt; the first outcome of a proposal wins, later ones change nothing.

        A lost trial is asked again up to twice, one that ran out of memory once, to run alone.
        """
        trial = self.history.trials[number]
        if trial.outcome is not None or attempt != trial.attempts:
            return
        outcome = settled(outcome)
        retries = {Status.LOST: MOST_RETRIES, Status.OUT_OF_MEMORY: 1}.get(outcome.status, 0)
        alike = sum(note.startswith(f"{outcome.status.value}:") for note in trial.attempt_notes)
        if alike < retries:
            self._record("retry", tell_payload(number, attempt, outcome))
            self._pending.append(number)
            return
        self._record("tell", tell_payload(number, attempt, outcome))
        if outcome.status is Status.BUG:
            self._stop_if_broken()

    def report(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Record how far a trial has come."""
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self._record("report", {"number": number, "epoch": epoch, "metrics": finite})

    def carry(self, trial: Trial, run: str) -> None:
        """Take over what another run on the same data was told: an evaluation asked for again is not made again."""
        if trial.outcome is not None:
            self._record("carry", carry_payload(trial, run))

    def placed(self, capacity: Capacity) -> None:
        """Record where trials run, if that has changed: by it GPU-hours are counted and the time left is told."""
        if capacity != self.history.capacity:
            self._record("capacity", capacity.payload())

    def measure_winner(self) -> None:
        """Measure the winner where latencies count, once; raises `StopAsked`."""
        if self.best is not None:
            self.measuring.winner(self.candidate(self.best).network)

    def end(self, reason: str) -> None:
        """Record that this driver leaves."""
        self._record("end", {"reason": reason})

    @property
    def finished(self) -> bool:
        """Whether all is told and nothing is left to ask."""
        return not self.history.untold and self._search_is_over() and self._nothing_left()

    @property
    def searching(self) -> bool:
        """Whether the search goes on: something in it is in flight, or may be asked yet."""
        return self.history.waits_for(*SEARCHING) or not self._search_is_over()

    @property
    def best(self) -> Trial | None:
        """The named winner: best mean over confirmations, else the best trial; None while nothing is done."""
        named = best_confirmed(self.history, self.plan)
        if named is None and self._leader is not None:
            named = self.history.trials[self._leader[1]]
        return named

    def candidate(self, trial: Trial) -> Candidate:
        """Return what a trial trains; of a supernet, the space."""
        if trial.kind is Kind.SUPERNET:
            return self._whole
        return candidate_of(trial, self.plan)

    def _next(self) -> Asked | None:
        while self._pending:
            trial = self.history.trials[self._pending.pop(0)]
            if (
                trial.outcome is None
            ):  # which an attempt that was begun without being asked for may have brought
                return trial, self.candidate(trial)
        asked = self._next_trial() or self._next_due()
        if asked is not None:
            self._record("ask", ask_payload(asked[0], self._admission.ledger.payload()))
        return asked

    def _next_trial(self) -> Asked | None:
        number = len(self.history.trials)
        self._admission.begin(number)
        self.measuring.begin()
        if self._search_is_over():
            return None
        answer = self.strategy.ask(number)
        if answer is None:
            self._record("exhausted", self._admission.ledger.last_payload())
            return None
        if isinstance(answer, Wait):
            if not self.history.untold:
                raise ArchscaleError(
                    f"strategy: {type(self.strategy).__name__} waits, and nothing is in flight"
                )
            return None
        return self._requested(number, answer if isinstance(answer, Request) else Request.training(answer))

    def _requested(self, number: int, request: Request) -> Asked:
        """Return the trial of a job that the strategy asks for."""
        plan = self.plan
        return self._trial(
            number,
            request.kind,
            request.candidate or self._whole,
            epochs=request.epochs or plan.epochs,
            seed=plan.seed if request.seed is None else request.seed,
            parent=request.parent,
            settings=request.settings,
        )

    @property
    def _whole(self) -> Candidate:
        """The space, for a supernet of it."""
        assert isinstance(self.plan.space, Candidate), "a list of architectures has no supernet"
        return self.plan.space

    def _next_due(self) -> Asked | None:
        """Return what is owed once the search is over: a confirmation, then a final training."""
        found = due(
            self.history, self.plan, who=self._identity, finalists=self._finalists, best=lambda: self.best
        )
        if found is None:
            return None
        number = len(self.history.trials)
        self._admission.begin(number)
        return self._trial(
            number, found.kind, found.candidate, epochs=found.epochs, seed=found.seed, parent=found.parent
        )

    def _finalists(self) -> list[Trial]:
        """Return the trials to confirm; all trials are looked through once, not at every ask."""
        told = self.history.told_of[Kind.TRAIN]
        if self._to_confirm[0] != told:
            self._to_confirm = told, finalists(self.history, self.plan)
        return self._to_confirm[1]

    def _trial(
        self,
        number: int,
        kind: Kind,
        candidate: Candidate,
        *,
        epochs: int,
        seed: int,
        parent: int | None = None,
        settings: Settings | None = None,
    ) -> Asked:
        whole = kind is Kind.SUPERNET  # which is of no architecture, and has no architecture's cost
        trial = Trial(
            number=number,
            kind=kind,
            code=() if whole else encode(self.plan.space, candidate),
            identity=self._identity(candidate, epochs, seed, job_name(kind, settings, parent)),
            cost={} if whole else self._admission.cost(candidate.network),
            parent=parent,
            rejected=self._admission.ledger.rejected,
            settings=to_data(settings),
        )
        return trial, candidate

    def _proposal(self, trial: Trial, candidate: Candidate) -> Proposal:
        return Proposal(
            number=trial.number,
            kind=trial.kind,
            candidate=candidate,
            epochs=trial.identity.epochs,
            seed=trial.identity.seed,
            parent=trial.parent,
            parent_key=None if trial.parent is None else self.history.trials[trial.parent].key,
            settings=from_data(Settings, trial.settings) if trial.settings else None,
            trained=self.history.trained(trial),
        )

    def _admits(self, candidate: Candidate) -> bool:
        return self._admits_job(Request.training(candidate))

    def _admits_job(self, request: Request) -> bool:
        """Tell whether a job is new and its candidate keeps the limits; the ledger has those that do not."""
        candidate, plan = request.candidate, self.plan
        assert candidate is not None, "a supernet is of the whole space, which no limit is on"
        job = job_name(request.kind, request.settings, request.parent)
        seed = plan.seed if request.seed is None else request.seed
        identity = self._identity(candidate, request.epochs or plan.epochs, seed, job)
        if identity in self._known:
            return False
        if request.parent is not None and self.history.trials[request.parent].kind is Kind.RUNG:
            return True  # a promotion: its candidate was admitted before
        if not self._admission.keeps(candidate.network, identity.key):
            return False
        if plan.twins or not request.kind.about.candidate:
            return True
        return self._class(candidate, identity.recipe) not in self._classes

    def _class(self, candidate: Candidate, recipe: str) -> tuple[str, str]:
        return equivalence(candidate.network), recipe

    def _identity(self, candidate: Candidate, epochs: int, seed: int, job: str = "") -> Identity:
        recipe = self._recipe_keys.setdefault(candidate.recipe, "") or key(candidate.recipe)
        self._recipe_keys[candidate.recipe] = recipe
        return Identity(key(candidate.network), recipe, epochs, seed, job)

    def _record(self, kind: str, payload: dict[str, Json]) -> None:
        # Only what came of a trial or was measured cannot be worked out again: after a loss of power the same is
        # asked again.
        self._apply(kind, self.journal.append(kind, payload, durable=kind in ("tell", "retry", "measured")))

    def _apply(self, kind: str, event: object) -> None:
        before = len(self.history.told)
        self.history.apply(event)  # type: ignore[arg-type]
        if kind == "ask":
            trial = next(reversed(self.history.trials.values()))
            self._known.add(trial.identity)
            if not self.plan.twins and trial.kind.about.alone:
                self._classes.add(self._class(self.candidate(trial), trial.identity.recipe))
        for number in self.history.told[before:]:
            trial = self.history.trials[number]
            if trial.kind.about.searches:
                told = self._told(trial)
                self.strategy.tell(told)
                if trial.kind is Kind.TRAIN and told.costs is not None:
                    self._leader = min(self._leader or (told.costs, number), (told.costs, number))

    def _told(self, trial: Trial) -> Told:
        scores: tuple[float, ...] | None = None
        if trial.done:
            scores = () if trial.kind is Kind.SUPERNET else costs(as_judged(trial), self.plan.objectives)
        weights = trial.outcome.weights if trial.outcome and trial.done else {}
        before = self.history.begun.get(trial.number)
        return Told(
            trial.number, trial.code, scores, trial.kind, weights, epochs=trial.identity.epochs, before=before
        )

    def _search_is_over(self) -> bool:
        """Tell whether nothing more is searched for; where there are rungs, their strategy says when."""
        history = self.history
        all_begun = len(history.begun) >= self.plan.trials
        if history.exhausted or (all_begun and not history.of(Kind.RUNG)):
            return True
        if history.of(Kind.CONFIRM) or history.of(Kind.FINAL):
            return True
        return self._cap_is_reached() and not self._owes_a_training()

    def _budgets_in_flight(self) -> Iterator[int]:
        trials = self.history.untold.values()
        return (t.identity.epochs for t in trials if t.kind.about.candidate)

    def _cap_is_reached(self) -> bool:
        return cap_reached(self.history, self.plan, self._clock())

    def _owes_a_training(self) -> bool:
        """Tell whether a supernet was trained and what it leads to was not: its time would have been for nothing.

        A mixture leads to what it derives; what others lead to their strategy knows, which hurries from here on. Rungs
        lead to a training in full.
        """
        if self.history.of(Kind.RUNG):
            return not any(t.outcome is None or t.done for t in self.history.of(Kind.TRAIN))
        followed = {t.parent for t in self.history.of(Kind.TRAIN)}
        return any(
            t.done and t.outcome is not None and not (t.outcome.weights and t.number in followed)
            for t in self.history.of(Kind.SUPERNET)
        )

    def _nothing_left(self) -> bool:
        owed = finals_due(self.history, self.plan, who=self._identity, best=lambda: self.best)
        return next(owed, None) is None

    def _stop_if_broken(self) -> None:
        told = [self.history.trials[n] for n in self.history.told]
        failed = [t.outcome.status is Status.BUG for t in told if t.outcome]
        first_ones = len(failed) == BUGS_AT_THE_START and all(failed)
        if first_ones or (len(failed) >= BUGS_IN_A_ROW and all(failed[-BUGS_IN_A_ROW:])):
            note = told[-1].outcome.note if told[-1].outcome else ""
            raise StudyStopped(
                f"trial {told[-1].number}: {'the first 3 trials' if first_ones else '5 trials in a row'} failed, "
                f"expected them to train; mend the cause and resume. The last one said:\n{note}"
            )
