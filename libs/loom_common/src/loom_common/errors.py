"""Everything Loom raises, as one tree.

    LoomError
    ├── ConfigurationError           the user's file, flag or setting is wrong; exit code 2
    │   ├── InvalidDefinition        a pipeline definition, with every problem found
    │   ├── MissingCredential        a ${NAME} that resolves to nothing
    │   └── NotFound                 nothing has the name or the id that was given
    ├── TransientError               may succeed if tried again
    │   ├── CredentialReplaced       a secret was refused, and another one has taken its place since
    │   ├── DependencyUnavailable    a database, broker, file server or model endpoint is away
    │   │   ├── Conflict             another transaction was in the way
    │   │   ├── RateLimited          it is there, and asks to slow down
    │   │   ├── UpstreamTroubled     it is there, and cannot answer this question now
    │   │   └── BreakerOpen          it was away so often that nobody asks it for a while
    │   │       └── NeverReached     it was never there since this process began to ask it
    │   └── Timeout
    ├── PermanentError               will fail the same way again
    │   ├── SourceError              the source as a whole cannot be read
    │   ├── LookupFailed             what a step looks records up in cannot be read as a whole
    │   ├── DestinationError         the destination as a whole cannot be written
    │   │   └── StagedRowsLost       somebody else removed rows that wait beside it
    │   ├── AccessRefused            a key, password or permission was refused
    │   ├── PathNotAllowed           a path leads out of the project
    │   ├── UpstreamUnusable         one different record after another got nothing of use from an endpoint
    │   ├── StateUnusable            the files of Loom's own state cannot be read or written
    │   ├── CheckBroken              a record misses a quality check that tolerates none
    │   └── UserCodeError            a Python function of the user's could not be loaded
    │       └── PluginUnusable       a plugin is broken, of another version of Loom, or offered twice
    ├── BudgetExhausted              a budget does not cover the next model call
    ├── AnswersPending               a provider's batch has not answered yet; waiting counts no attempt
    ├── PluginFailed                 the code of a plugin raised an error that is none of these
    ├── RecordError                  this one record is at fault; its neighbours are not
    │   └── CheckFailed              it misses a quality check that keeps it back
    ├── UnreadableMessage            bad JSON, unknown type, future version: goes to loom.dead
    ├── WorkerWornOut                this process holds too much that hangs: it must be replaced
    ├── TopologyMissing              a service found an exchange or queue undeclared
    └── Unroutable                   a published message reached no queue

Whether to try again is a matter of the class, never of the text. Every message says what happened,
where, and what to do about it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.text import shown, storable_value

_LONGEST_WORDS = 20_000
"""The most characters of an error's message. A definition may hold many mistakes."""


class LoomError(Exception):
    """Serves as the root of the tree. `str(error)` is safe to show and to store, and contains no secret."""

    def __init__(self, *words: object) -> None:
        super().__init__(*(shown(each, _LONGEST_WORDS) for each in words))


class ConfigurationError(LoomError):
    """The user's file, flag or setting cannot be used."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Describes one mistake in a definition: where it is, what was found, and what was expected."""

    path: tuple[str | int, ...]
    """Keys and list positions from the root of the definition: `("evaluate", "evaluators", 0, "threshold")`."""
    found: str
    expected: str
    suggestion: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None

    @property
    def place(self) -> str:
        """Return `file:line:column`, as far as it is known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    @property
    def key(self) -> str:
        """Return the dotted path: `evaluate.evaluators[0].threshold`."""
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
        return text

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        what = f"{self.key}: " if self.key else ""
        hint = f" Did you mean '{self.suggestion}'?" if self.suggestion else ""
        return f"{where}{what}found {self.found}; expected {self.expected}.{hint}"


class InvalidDefinition(ConfigurationError):
    """Reports a pipeline definition that has mistakes. All of them are listed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class MissingCredential(ConfigurationError):
    """Reports a credential reference that has no value where it is needed."""

    def __init__(self, reference: str, remedy: str, trouble: str = "is not set") -> None:
        self.reference = reference
        super().__init__(f"The credential {reference} {trouble}. {remedy}")


class NotFound(ConfigurationError):
    """Reports that nothing has the name or the id that was given."""


class TransientError(LoomError):
    """The operation may succeed if it is tried again."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        """Seconds to wait, as the upstream asked; None where it did not."""
        super().__init__(message)


class CredentialReplaced(TransientError):
    """Reports that a secret was refused, and that its place now holds another one. The next attempt uses that."""


class DependencyUnavailable(TransientError):
    """A system that Loom depends on cannot be reached: a database, the broker, a model endpoint."""


class Conflict(DependencyUnavailable):
    """Reports that another transaction was in the way: a deadlock, or a lock that was not released in time. The
    database works, and the same work may succeed at once."""


class RateLimited(DependencyUnavailable):
    """The upstream works, and asks for fewer requests."""


class UpstreamTroubled(DependencyUnavailable):
    """Reports that the upstream answered that it cannot serve this question now. It counts as unavailable only if it
    answers different questions so."""


class BreakerOpen(DependencyUnavailable):
    """Reports that an upstream failed so often that it is not called before the next probe. Waiting for it counts no
    attempt."""

    def __init__(
        self, upstream: str, *, probe_in: float, opened_for: float, opening: int, reason: str | None = None
    ) -> None:
        self.upstream = upstream
        """The upstream's name, which may be shown: `model gpt-4o-mini at https://...`."""
        self.probe_in = probe_in
        """Seconds until the next probe."""
        self.opened_for = opened_for
        """Seconds since the breaker opened for the first time."""
        self.opening = opening
        """Says how often the breaker opened, so that each time is reported once."""
        self.reason = reason
        """The message of the last failure, which may be shown."""
        super().__init__(f"{upstream} is away. It is tried again in {probe_in:.0f} s.", retry_after=probe_in)


class NeverReached(BreakerOpen):
    """Reports an upstream that this process could not connect to once within the time limit: its address is wrong, or
    nothing runs there."""

    def __str__(self) -> str:
        return (
            f"{self.reason or f'{self.upstream} cannot be reached.'} It was tried for {self.opened_for:.0f} s and was "
            "never there. Nothing was lost: when it is, go on with `loom resume`; with `--wait` the run waits for it."
        )


class Timeout(TransientError):
    """There was no answer within the time limit."""


class PermanentError(LoomError):
    """Reports that the operation will fail in the same way until somebody changes something."""


class SourceError(PermanentError):
    """The source as a whole cannot be read, so the run cannot continue."""


class LookupFailed(PermanentError):
    """What a step looks records up in cannot be read as a whole, so the run cannot continue."""


class DestinationError(PermanentError):
    """The destination as a whole cannot be written, so the run cannot continue."""


class StagedRowsLost(DestinationError):
    """Reports that rows which were loaded wait beside the destination no more, because somebody else removed them. The
    run cannot be resumed."""


class AccessRefused(PermanentError):
    """A key, password or permission was refused. The run cannot continue until access is granted."""


class PathNotAllowed(PermanentError):
    """A path that a pipeline names leads out of its project, to what no setting allows."""


class UpstreamUnusable(PermanentError):
    """An endpoint gave nothing usable for several different records in a row, so it or the pipeline is at fault."""


class StateUnusable(PermanentError):
    """The files of Loom's state cannot be read or written. Nothing can continue until that is repaired."""


class CheckBroken(PermanentError):
    """Reports that a record misses a quality check whose action is to fail the run."""

    def __init__(self, message: str, check: str) -> None:
        self.check = check
        """The check's name."""
        super().__init__(message)


class UserCodeError(PermanentError):
    """Reports that a Python function that the pipeline names could not be loaded."""


class PluginUnusable(UserCodeError):
    """A plugin that was named cannot be used: it is broken, of another version of Loom, or offered twice."""


class PluginFailed(LoomError):
    """Reports that the code of a plugin raised an error of its own. Whether that may pass is not known, so it is tried
    again until the last attempt."""


class BudgetExhausted(LoomError):
    """A budget does not cover the next model call, which was not made. The run pauses until the budget is raised, or
    until the next day begins."""

    def __init__(
        self,
        limit: float,
        gone: float,
        worst: float,
        lost: float = 0.0,
        owed: float = 0.0,
        account: str = "",
        until: dt.datetime | None = None,
    ) -> None:
        self.account = account
        """The run whose budget it is, or the day of a stream, as the ledger names it."""
        self.until = until
        """The moment at which a budget of a day begins anew; None for the budget of a run."""
        self.limit = limit
        """The budget in USD."""
        self.gone = gone
        """USD that are spent or may have been charged."""
        self.lost = lost
        """The part of `gone` that is the worst case of calls whose process died, which the provider may have
        charged."""
        self.owed = owed
        """USD that are set aside to judge answers."""
        self.worst = worst
        """The least USD that the call needs, with the cost of judging its answer."""
        kept = f", ${owed:.6f} is kept to judge what was answered" if owed else ""
        super().__init__(
            f"${gone:.6f} of the budget of ${limit:.6f} is spent{kept}, and the next call may cost ${worst:.6f}."
        )


class AnswersPending(LoomError):
    """Reports that the batch of a provider has not answered yet. The message comes again later, which counts no
    attempt: nothing has failed."""

    def __init__(self, reason: str, retry_in: float) -> None:
        self.retry_in = retry_in
        """Seconds after which it is worth looking again."""
        super().__init__(reason)


class RecordError(LoomError):
    """Reports an error of one record. The record is quarantined with `code` and the reason; the other records
    continue."""

    def __init__(self, message: str, *, code: str, details: dict[str, Any] | None = None) -> None:
        self.code = code
        """An identifier for programs: `ragged_row`, `invalid_output`, `constraint`."""
        self.details: dict[str, Any] = storable_value(details or {})
        super().__init__(message)


class CheckFailed(RecordError):
    """Reports a record that misses a quality check. It is quarantined, whatever its stage's `on_failure` says, because
    the check's own action says so."""


class UnreadableMessage(LoomError):
    """Reports a message that cannot be decoded. It goes to `loom.dead` with the reason, and is never retried."""


class WorkerWornOut(LoomError):
    """Reports that threads of this process hang in code that cannot be ended. Its messages must be handled by a new
    process."""

    def __init__(self, message: str, hung: Sequence[Any] = ()) -> None:
        self.hung = tuple(hung)
        """Holds the records that hang, or their ids."""
        super().__init__(message)


class TopologyMissing(LoomError):
    """Reports that an exchange or queue that a service needs was not declared."""


class Unroutable(LoomError):
    """A message was published to a route without a queue, where it would have been lost."""
