"""A rollout's state, from its journal; and what is left to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from rollout.events import (
    Before,
    Ended,
    Event,
    GateBegan,
    HostBegan,
    HostEnded,
    HostVersions,
    Resumed,
    Started,
    WaveBegan,
    WaveEnded,
    WindowOpened,
)
from rollout.protocol import Health
from rollout.rules.amount import Amount
from wire.limits import MAX_NAME, MAX_VALUE
from wire.rollout import MAX_PACKAGES, HostRecord, RolloutRecord, WaveRecord

FAILED = ("failed", "unreachable")


class State:
    """What the events so far amount to."""

    def __init__(self, started: Started) -> None:
        self.started = started
        self.settings = started.settings
        self._hosts = {
            host: HostRecord(state="waiting", wave=number)
            for number, (_, hosts) in enumerate(started.waves)
            for host in hosts
        }
        self._waves = [WaveRecord(name=name, state="waiting", hosts=hosts) for name, hosts in started.waves]
        self._run: dict[str, Any] = {"state": "running", "finished": None, "message": ""}
        self.before: dict[str, Health] = {}
        """How each agent was before the deploy was first run on its host."""
        self.before_at_home: dict[str, str] = {}
        """How home had each host then."""

    def apply(self, event: Event) -> None:
        """One more event."""
        match event:
            case Started():
                raise ValueError("a journal has one beginning")
            case Resumed():
                self._run = {"state": "running", "finished": None, "message": ""}
                # Each has its next chance before it counts again, also when its wave comes after others.
                for host, record in self._hosts.items():
                    if record.state != "done":
                        self._host(host, state="waiting")
            case WaveBegan(time=time, wave=wave):
                self._wave(wave, state="running", started=self._waves[wave].started or time, finished=None)
            case WindowOpened(wave=wave, window=window):
                self._wave(wave, window=window)
            case Before(health=health, at_home=at_home):
                for one in health:
                    if (found := self.before.get(one.host)) is None or not found.reachable:
                        self.before[one.host] = one
                self.before_at_home = {**at_home, **self.before_at_home}
            case HostBegan(time=time, host=host):
                self._host(host, state="running", started=time, finished=None, message="", outcome=None)
            case HostVersions(host=host, before=before, after=after):
                # After a rerun, what was there before the first run is what was there before.
                known = self._hosts[host]
                self._host(host, before={**before, **known.before}, after={**known.after, **after})
            case HostEnded(time=time, host=host, state=state, changed=changed, message=message, outcome=outcome):
                told = {"changed": changed, "message": message, "outcome": outcome}
                self._host(host, state=state, finished=time, **told)
            case GateBegan(wave=wave):
                self._wave(wave, state="gate")
            case WaveEnded(time=time, wave=wave, ok=ok):
                self._wave(wave, state="done" if ok else "failed", finished=time)
            case Ended(time=time, state=state, message=message):
                self._run = {"state": state, "finished": time, "message": message}

    @property
    def record(self) -> RolloutRecord:
        """As it is shown, with hosts by their names in the inventory."""
        return RolloutRecord(
            id=self.started.id,
            deploy=self.settings.deploy,
            inventory=self.settings.inventory,
            who=self.started.who,
            hostward=self.started.hostward,
            started=self.started.time,
            waves=list(self._waves),
            hosts=dict(self._hosts),
            **self._run,
        )

    @property
    def record_for_home(self) -> RolloutRecord:
        """As home is told it: with hosts by their names there, and texts as long as it takes them."""
        record, known = self.record, self.started.known_as
        return msgspec.structs.replace(
            record,
            deploy=record.deploy[-MAX_VALUE:],
            inventory=record.inventory[-MAX_VALUE:],
            waves=[
                msgspec.structs.replace(
                    wave, name=wave.name[:MAX_NAME], hosts=[known.get(host, host) for host in wave.hosts]
                )
                for wave in record.waves
            ],
            hosts={known.get(host, host): _for_home(one) for host, one in record.hosts.items()},
        )

    @property
    def hosts(self) -> dict[str, HostRecord]:
        """Each host as it stands."""
        return self._hosts

    @property
    def waves(self) -> list[WaveRecord]:
        """Each wave as it stands."""
        return self._waves

    def left(self) -> list[int]:
        """The waves that still have something to do, in order: a host that is not done, or a gate."""
        return [number for number, wave in enumerate(self._waves) if wave.state != "done" or self.undone(number)]

    def undone(self, wave: int) -> list[str]:
        """The wave's hosts on which the deploy is still to be run: all that are not done."""
        return [host for host in self._waves[wave].hosts if self._hosts[host].state != "done"]

    def running(self) -> list[str]:
        """Hosts that were begun, and of whose end nobody told."""
        return [host for host, record in self._hosts.items() if record.state == "running"]

    def failures(self) -> list[str]:
        """Hosts that failed, and were not run well since."""
        return [host for host, record in self._hosts.items() if record.state in FAILED]

    def too_many(self) -> bool:
        """Whether more hosts failed than may."""
        return self.may_fail() < 0

    def may_fail(self) -> int:
        """How many more hosts may fail; less than 0 where too many did."""
        return limit(self.settings.max_failures, len(self._hosts)) - len(self.failures())

    def _host(self, host: str, **values: Any) -> None:
        self._hosts[host] = msgspec.structs.replace(self._hosts[host], **values)

    def _wave(self, wave: int, **values: Any) -> None:
        self._waves[wave] = msgspec.structs.replace(self._waves[wave], **values)


def _for_home(host: HostRecord) -> HostRecord:
    """With the versions of as many packages as home takes: the first by name."""
    if max(len(host.before), len(host.after)) <= MAX_PACKAGES:
        return host
    names = set(sorted({*host.before, *host.after})[:MAX_PACKAGES])
    before, after = (
        {name: version for name, version in versions.items() if name in names}
        for versions in (host.before, host.after)
    )
    return msgspec.structs.replace(host, before=before, after=after)


def limit(amount: Amount, hosts: int) -> int:
    """How many of all hosts may fail before the rollout stops."""
    return amount.at_most(hosts)


def fold(events: Iterable[Event]) -> State:
    """The state after all events. Raises ValueError where they are no rollout's."""
    iterator = iter(events)
    first = next(iterator, None)
    if not isinstance(first, Started):
        raise ValueError("expected the event `started` first")
    state = State(first)
    for event in iterator:
        state.apply(event)
    return state
