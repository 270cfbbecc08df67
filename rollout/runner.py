"""Wave after wave: open a window, run the deploy in a process of its own, look whether the hosts are well, go on.

What it decides follows from what each host did (`rollout.rules`), and stands in the journal before the next step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from kit.errors import HostwardError
from rollout.child import Engine, Wave, WaveError
from rollout.events import (
    Before,
    Ended,
    Event,
    GateBegan,
    HostBegan,
    HostEnded,
    HostVersions,
    WaveBegan,
    WaveEnded,
    WindowOpened,
)
from rollout.home import AtHome, HomeAwayError
from rollout.journal import Journal
from rollout.leases import Leases, Store
from rollout.protocol import (
    LOOK,
    LOOKED,
    SHAKING,
    Answer,
    Ask,
    Began,
    GiveBack,
    Health,
    Looked,
    Message,
    Order,
    Phase,
    Refused,
    Spared,
    Versions,
)
from rollout.protocol import Ended as HostDone
from rollout.rules import gates
from rollout.show import Show

TICK = 0.25
"""Seconds between two looks at what else is wanted while a wave runs."""
REFUSAL = 120.0
"""Seconds beyond what hosts may take, as for the inventory, after which the process of a wave is taken for hung."""
ABORTED = "the rollout was aborted while this host was being worked on"
LONGEST = 500
"""Characters of a message, as the record at home has it."""


class RefusedError(HostwardError):
    """The order could not be carried out at all: the inventory, the deploy, or the data is wrong."""

    exit_code = 2


class AbortedError(Exception):
    """Somebody does not want to wait for the wave's end."""


class _Deadline:
    """When a process that still says nothing of its end is taken for hung."""

    def __init__(self, seconds: float) -> None:
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """So many from now on."""
        self.seconds = seconds
        self.end = time.monotonic() + seconds


class Runner:
    """Runs what is left of one rollout."""

    def __init__(
        self,
        journal: Journal,
        engine: Engine,
        show: Show,
        store: Store,
        home: AtHome | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._settings = journal.state.settings
        self._engine = engine
        self._show = show
        self._store = store
        self._home = home
        self._clock = clock
        self._interrupts = 0
        self._pausing = False
        self._lost: str | None = None
        """Why home, which is required, went away in the middle of a wave: the wave is finished first."""
        self._wanted_window: tuple[int, list[str], str] | None = None
        """The wave that is to have one, its hosts at home, and why."""
        self._window_id: str | None = None
        """The one that is open."""

    def interrupt(self) -> None:
        """Pause after this wave; asked for twice, abort at once. Safe in a signal's handler."""
        self._interrupts += 1

    def run(self) -> str:
        """Run the waves that are left, and return the state in which it ended: `done`, `failed`, `paused`, `aborted`.

        Raises HostwardError when the journal cannot be written or the order is refused; what was done stays in the
        journal.
        """
        state = self._journal.state
        try:
            for wave in state.left():
                if wanted := self._wanted():
                    return self._end("aborted" if wanted == "abort" else "paused", "as was asked for")
                if not self._wave(wave):
                    return self._end("failed", self._why(wave))
        except HomeAwayError as error:
            return self._end("paused", str(error))
        except AbortedError:
            for host in state.running():
                self._fail(host, ABORTED)
            return self._end("aborted", "as was asked for, in the middle of a wave")
        except RefusedError as error:
            if any(record.started is not None for record in state.hosts.values()):
                # As for a home that is away: what was done is well, and the rest may be had later.
                return self._end("paused", str(error))
            self._end("failed", str(error))
            raise
        failed = state.failures()
        return self._end("done", f"{len(failed)} of {len(state.hosts)} hosts failed" if failed else "")

    def _wave(self, wave: int) -> bool:
        """Run one wave. Returns whether to go on."""
        state = self._journal.state
        name = state.waves[wave].name
        undone = state.undone(wave)
        untouched = all(state.hosts[host].started is None for host in state.waves[wave].hosts)
        if self._lost is not None:
            raise HomeAwayError(self._lost)
        self._add(WaveBegan(time=self._clock(), wave=wave))
        with self._window(wave):
            self._tell()
            if undone:
                self._deploy(wave, undone)
            well = [host for host in state.waves[wave].hosts if state.hosts[host].state == "done"]
            # Of what nobody touched, nothing is worse for it.
            if well and self._settings.samples and not (untouched and all(state.hosts[h].changed == 0 for h in well)):
                self._add(GateBegan(time=self._clock(), wave=wave))
                for host, reason in self._gate(wave, well).items():
                    self._fail(host, f"after the deploy: {reason}")
        ok = not state.too_many()
        self._add(WaveEnded(time=self._clock(), wave=wave, ok=ok))
        self._show.say(f"{name}: {'done' if ok else 'failed'}")
        self._tell()
        return ok

    def _deploy(self, wave: int, hosts: Sequence[str]) -> None:
        """See how the hosts are, and run the deploy on them; each has ended when this returns.

        Raises RefusedError, AbortedError, HomeAwayError.
        """
        unknown = self._unknown(hosts)
        at_home = self._at_home(unknown)
        order = self._order("deploy", hosts, look=unknown)
        leases = Leases(self._store, self._journal.state.started.id, {"reboot": self._settings.reboots})
        working = self._settings.timeout * self._turns(hosts) + REFUSAL
        deadline = _Deadline(self._looking(unknown) if unknown else working)
        before: list[Health] = []
        ended: set[str] = set()
        why, begun = "", False
        try:
            with self._process(order, wave) as process:
                for message in self._messages(process, deadline, leases):
                    if isinstance(message, Health):
                        before.append(message)
                        continue
                    if isinstance(message, Looked):
                        self._add(Before(health=before, at_home=at_home))
                        process.answer(Answer(number=LOOKED, granted=True))
                        deadline.allow(working)
                        continue
                    begun = True
                    if isinstance(message, (HostDone, Spared)):
                        ended.add(message.host)
                    self._heard(message, leases)
                why = process.died() or ""
        except WaveError as error:
            why = str(error)
        finally:
            leases.end()
        if why and not begun:
            # As of an inventory that hangs or ends its process: nothing was so much as tried on a host.
            raise RefusedError(f"nothing was begun on the hosts: {why}")
        for host in hosts:
            if host not in ended:
                self._fail(host, why or "the process of the wave ended without a word of it")

    def _unknown(self, hosts: Sequence[str]) -> list[str]:
        """Those that have to be looked at before the deploy, for it is not known from before a kill how they were."""
        if not self._settings.samples:
            return []
        state = self._journal.state
        # Of one that could not be asked then, and that nothing was done to since, it can still be known.
        return [
            host
            for host in hosts
            if (known := state.before.get(host)) is None
            or (not known.reachable and state.hosts[host].started is None)
        ]

    def _heard(self, message: Message, leases: Leases) -> None:
        match message:
            case Refused(message=said):
                raise RefusedError(said)
            case Began(host=host):
                self._add(HostBegan(time=self._clock(), host=host))
            case Phase(host=host, text=text):
                self._show.phase(host, text)
            case Versions(host=host, before=before, after=after):
                self._add(HostVersions(host=host, before=before, after=after))
            case HostDone():
                self._add(
                    HostEnded(
                        time=self._clock(),
                        host=message.host,
                        state=message.state,
                        changed=message.changed,
                        message=message.message[:LONGEST],
                        outcome=message.outcome,
                    )
                )
                if message.data:
                    self._show.result(message.host, message.data, message.lines)
            case Ask(number=number, host=host, what=what):
                leases.ask(number, host, what)
                self._show.phase(host, f"waits for leave to {what}")
            case GiveBack(number=number):
                leases.give_back(number)
            case _:
                pass

    def _turns(self, hosts: Sequence[str]) -> int:
        """How many hosts the wave's process has one after another."""
        return math.ceil(len(hosts) / self._settings.parallel) if self._settings.parallel else 1

    def _looking(self, hosts: Sequence[str]) -> float:
        """Seconds that a look at the hosts may take: so many at one time as are connected to, or fewer."""
        return REFUSAL + LOOK * max(self._turns(hosts), math.ceil(len(hosts) / SHAKING))

    def _messages(self, process: Wave, deadline: _Deadline, leases: Leases | None) -> Iterator[Message]:
        """What the process says. What is wanted from elsewhere, and leave to be given, is seen to meanwhile.

        Raises WaveError after the deadline, before which time does not count in which leave is waited for.
        """
        before = time.monotonic()
        for message in process.messages(tick=TICK):
            now = time.monotonic()
            if leases is not None and leases.waiting():
                deadline.end += now - before
            before = now
            if message is not None:
                yield message
            if self._wanted() == "abort":
                process.kill()
                raise AbortedError
            if now > deadline.end:
                process.kill()
                raise WaveError(f"the wave did not come to its end within {deadline.seconds:.0f} s")
            if leases is not None:
                for answer in leases.answers():
                    process.answer(answer)
            self._renew()
            self._show.tick()

    def _gate(self, wave: int, hosts: Sequence[str]) -> dict[str, str]:
        """Look until all are as well as before, often enough in a row. Returns those that are not, and why."""
        settings = self._settings
        seen: dict[str, list[Health]] = {host: [] for host in hosts}
        end = time.monotonic() + settings.patience
        while True:
            for host, health in self._look_again(wave, hosts).items():
                seen[host].append(health)
            closed = gates.pending(self._journal.state.before, seen, settings.samples)
            closed = closed or gates.worse_at_home(self._journal.state.before_at_home, self._at_home(hosts))
            waits = closed or gates.unseen(self._journal.state.before, seen, settings.patience)
            if not waits:
                return {}
            self._show.gate(waits)
            if time.monotonic() + settings.every > end and all(
                len(found) >= settings.samples for found in seen.values()
            ):
                return closed
            pause = time.monotonic() + settings.every
            while time.monotonic() < pause:
                if self._wanted() == "abort":
                    raise AbortedError
                self._renew()
                self._show.tick()
                time.sleep(min(TICK, settings.every))

    def _look_again(self, wave: int, hosts: Sequence[str]) -> dict[str, Health]:
        """As `_look`. An inventory that can no longer be had, as one that asks a home that is away, is waited for."""
        try:
            return self._look(wave, hosts)
        except RefusedError as error:
            return {host: Health(host=host, reachable=False, problem=str(error)) for host in hosts}

    def _look(self, wave: int, hosts: Sequence[str]) -> dict[str, Health]:
        """How each host's agent is now."""
        found: dict[str, Health] = {}
        why = "its agent could not be asked"
        try:
            with self._process(self._order("gate", hosts), wave) as process:
                for message in self._messages(process, _Deadline(self._looking(hosts)), None):
                    if isinstance(message, Health):
                        found[message.host] = message
                    elif isinstance(message, Refused):
                        raise RefusedError(message.message)
                why = process.died() or why
        except WaveError as error:
            why = str(error)
        return {host: found.get(host) or Health(host=host, reachable=False, problem=why) for host in hosts}

    def _at_home(self, hosts: Sequence[str]) -> dict[str, str]:
        """How home has those of the hosts that it knows; nothing while it is away. Raises HomeAwayError."""
        states = {} if self._home is None else self._home.states()
        known = self._journal.state.started.known_as
        return {host: states[name] for host in hosts if (name := known.get(host, host)) in states}

    @contextmanager
    def _window(self, wave: int) -> Iterator[None]:
        """A maintenance window at home for the wave's hosts, kept open for as long as the block takes.

        It is closed however the block ends: whatever is wrong with the hosts then is to be told. One that home was
        away for is opened once it answers.
        """
        duration = self._settings.window
        state = self._journal.state
        if self._home is not None and duration is not None:
            if left := state.waves[wave].window:
                self._home.close_window(left)  # a killed run's
            hosts = [state.started.known_as.get(host, host) for host in state.waves[wave].hosts]
            reason = f"rollout {state.started.id}: {self._settings.deploy}, {state.waves[wave].name}"
            self._wanted_window = wave, hosts, reason
            self._open_window(self._home, duration)
        try:
            yield
        finally:
            if self._window_id is not None and self._home is not None:
                self._home.close_window(self._window_id)
            self._wanted_window = self._window_id = None

    def _open_window(self, home: AtHome, duration: float) -> None:
        """Open the window that is wanted. Raises HomeAwayError."""
        if self._wanted_window is None:
            return
        wave, hosts, reason = self._wanted_window
        if window := home.open_window(hosts, reason, duration, self._journal.state.started.id):
            self._window_id, self._renewed = window, time.monotonic()
            self._add(WindowOpened(wave=wave, window=window))

    def _renew(self) -> None:
        """Keep the window open, and tell home what it missed."""
        if self._home is None:
            return
        duration = self._settings.window
        try:
            self._home.tell_again()
            if self._wanted_window is not None and duration is not None:
                if self._window_id is not None:
                    self._renew_window(self._home, self._window_id, duration)
                elif self._home.may_open_now():
                    self._open_window(self._home, duration)
            self._lost = None
        except HomeAwayError as error:
            self._lost = str(error)

    def _renew_window(self, home: AtHome, window: str, duration: float) -> None:
        """Keep it open; one that is over is opened anew. Raises HomeAwayError."""
        if self._wanted_window is None or time.monotonic() - self._renewed <= duration / 3:
            return
        _, hosts, reason = self._wanted_window
        self._renewed = time.monotonic()
        if not home.renew_window(window, hosts, reason, duration, self._journal.state.started.id):
            self._window_id = None

    def _process(self, order: Order, wave: int) -> AbstractContextManager[Wave]:
        """What carries out an order of a wave. Raises WaveError."""
        return self._engine.wave(order, self._journal.log(wave))

    def _order(self, task: Literal["deploy", "gate"], hosts: Sequence[str], look: Sequence[str] = ()) -> Order:
        settings = self._settings
        return Order(
            task=task,
            inventory=settings.inventory,
            folder=settings.folder,
            rollout=self._journal.state.started.id,
            data=settings.data,
            hosts=list(hosts),
            deploy=settings.file,
            look=list(look),
            parallel=settings.parallel,
            failures=self._journal.state.may_fail(),
            timeout=settings.timeout,
        )

    def _fail(self, host: str, reason: str) -> None:
        known = self._journal.state.hosts[host]
        # What a deploy that ended well has changed, it has changed also where the gate stays closed.
        changed, outcome = (known.changed, known.outcome) if known.state == "done" else (0, None)
        message = reason[:LONGEST]
        told = HostEnded(
            time=self._clock(), host=host, state="failed", changed=changed, message=message, outcome=outcome
        )
        self._add(told)

    def _wanted(self) -> str | None:
        """What was asked for: `pause` after this wave, `abort` at once, or nothing."""
        asked = self._journal.wanted()
        wanted = "abort" if self._interrupts > 1 or asked == "abort" else "pause" if self._interrupts else asked
        if wanted == "pause" and not self._pausing:
            self._pausing = True
            self._show.say("pausing after this wave; a second Ctrl-C, or hostward-rollout abort, stops at once")
        return wanted

    def _why(self, wave: int) -> str:
        state = self._journal.state
        failed = state.failures()
        hosts = f"{failed[0]} failed" if len(failed) == 1 else f"{len(failed)} hosts failed"
        return f"{hosts}, in {state.waves[wave].name}"

    def _add(self, event: Event) -> None:
        self._journal.add(event)
        self._show.event(event, self._journal.state)

    def _tell(self) -> bool:
        """Returns whether there is nothing that home does not know."""
        return self._home is None or self._home.tell(self._journal.state.record_for_home)

    def _end(self, state: str, message: str) -> str:
        ended = Ended(time=self._clock(), state=state, message=message[:LONGEST])  # type: ignore[arg-type]
        self._add(ended)
        self._journal.take_wanted()
        try:
            if self._tell():
                self._journal.told()
        except HomeAwayError as error:
            self._show.say(f"home does not know how it ended: {error}")
        return state
