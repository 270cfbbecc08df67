"""How a step fails: one sentence for whoever runs the deploy, how the host was left, and no traceback.

pyinfra prints the traceback of whatever a function raises that it calls. One that takes `state` and `host` may say
False instead, and the operation has failed: so what is to be told is caught here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from paramiko import SSHException
from pyinfra.api.command import FunctionCommand
from pyinfra.api.exceptions import NestedOperationError, PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from deploys.kit.notes import Failed, Outcome, note


class StepError(PyinfraError):
    """A step failed; the text is the one sentence, `outcome` is how the host was left."""

    def __init__(self, reason: str, outcome: Outcome) -> None:
        super().__init__(reason)
        self.outcome: Outcome = outcome


@operation(is_idempotent=False, _set_in_op=False)
def attempt(work: Callable[[Host], None], outcome: Outcome = "broken") -> Generator[FunctionCommand, None, None]:
    """Call `work` with the host when the operation is executed; what it raises makes the operation fail.

    + work: may call operations, which are executed at once, and `host.run_shell_command`
    + outcome: how the host is left by errors that do not say so themselves, as a lost connection does not
    """
    yield FunctionCommand(_try, (work, outcome), {})


@operation(is_idempotent=False, _set_in_op=False)
def fail(reason: str, outcome: Outcome = "left_alone") -> Generator[FunctionCommand, None, None]:
    """Fail, for what was seen before anything was done.

    + reason: one sentence
    + outcome: how the host is left
    """

    def refuse(_host: Host) -> None:
        raise StepError(reason, outcome)

    yield FunctionCommand(_try, (refuse, outcome), {})


def _try(state: State, host: Host, work: Callable[[Host], None], outcome: Outcome) -> bool:
    # That both are called `state` and `host` makes pyinfra take the answer.
    try:
        work(host)
    except StepError as error:
        note(host, Failed(str(error), error.outcome))
    except NestedOperationError:
        note(host, Failed("a step of the deploy failed; its output says why", outcome))
    except PyinfraError as error:
        note(host, Failed(str(error), outcome))
    except TimeoutError:
        # Of a command: a connection that was lost while nothing was said looks the same.
        note(host, Failed("a command did not end in time, or the connection was lost", outcome))
    except (OSError, EOFError, SSHException) as error:
        note(host, Failed(f"the connection was lost: {str(error) or type(error).__name__}", outcome))
    else:
        return True
    return False
