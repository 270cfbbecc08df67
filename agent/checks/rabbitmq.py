"""RabbitMQ: queues with what waits in them and who takes it, dead letters, alarms, nodes.

What is asked, and how, is in rabbitmq_session.py, which loads `requests`; this file says what the answers mean. The
management API: https://www.rabbitmq.com/docs/management and its /api/index.html.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from agent.checks.contract import Check, CheckOptions, Context, Every, Finding, Measurement, Rule, Sample, Threshold
from agent.checks.drivers import largest
from agent.checks.patterns import is_chosen, named
from kit.units import Duration

NODES_MAX = 50
EXCHANGE, KEY = "dead-letter-exchange", "dead-letter-routing-key"


class RabbitmqOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A RabbitMQ node or cluster, through its management plugin; the user needs the tag `monitoring`."""

    every: Every = Duration(60)
    url: Annotated[
        str,
        msgspec.Meta(
            description="The address of the management plugin, without user and password.",
            pattern=r"\A(?i:https?)://\S+\Z",
            examples=["https://mq.example.com:15671"],
            extra={"words": "an address that begins with http:// or https://"},
        ),
    ] = "http://127.0.0.1:15672"
    user: Annotated[str, msgspec.Meta(description="The user.", min_length=1, examples=["monitor"])] = "hostward"
    password_file: Annotated[
        str,
        msgspec.Meta(
            description="The file that holds the user's password, or `credential:NAME`.",
            min_length=1,
            examples=["/etc/hostward/rabbitmq.password"],
        ),
    ]
    verify: Annotated[
        bool, msgspec.Meta(description="false takes any TLS certificate: anybody may answer.", examples=[False])
    ] = True
    ca_file: Annotated[
        str,
        msgspec.Meta(
            description="Certificates of the authorities to trust, PEM; empty for those of the system.",
            examples=["/etc/ssl/example-ca.pem"],
        ),
    ] = ""
    vhosts: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Virtual hosts to look at (* and ? as in file names).", examples=[["/", "shop*"]]),
    ] = ("*",)
    queues: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Queues to look at (* and ? as in file names). One without either must be there.",
            examples=[["orders", "mail.*"]],
        ),
    ] = ("*",)
    exclude: Annotated[
        tuple[str, ...], msgspec.Meta(description="Queues to leave out.", examples=[["amq.gen-*"]])
    ] = ("amq.gen-*",)
    queues_max: Annotated[
        int,
        msgspec.Meta(
            description="Of how many queues, those with most messages, there are readings.",
            ge=1,
            le=150,
            examples=[100],
        ),
    ] = 50
    dead_letter_queues: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Queues that hold dead letters (* and ? as in file names), besides those that another queue "
            "names by the default exchange.",
            examples=[["*.failed"]],
        ),
    ] = ("*.dlq", "*.dead", "*-dlq", "dead-letter*", "dead_letter*")
    ready: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the messages that wait in a queue; not of one that holds dead letters.",
            examples=[{"warning": 1000}],
        ),
    ] = Threshold()
    unacknowledged: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the messages of a queue that consumers have and keep.",
            examples=[{"warning": 1000}],
        ),
    ] = Threshold()
    dead_lettered: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the messages in a queue that holds dead letters.")
    ] = Threshold(warning=1)
    unattended: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the messages in a queue that has no consumer."),
    ] = Threshold(warning=1, for_=Duration(300))
    connections: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the number of connections.", examples=[{"warning": 500}])
    ] = Threshold()
    memory: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of a node's memory, in percent of where it stops taking messages."),
    ] = Threshold(warning=80)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"url cannot be used: {error}") from None
        if parts.username is not None or parts.password is not None:
            raise ValueError("url must not hold a user or password; password_file keeps the secret")
        if not parts.hostname or port == 0:
            raise ValueError("url has no host, or an impossible port")


class Node(msgspec.Struct, frozen=True):
    """A node of the cluster, as /api/nodes has it. One that is down tells nothing of itself."""

    name: str
    running: bool = False
    mem_used: float = 0
    mem_limit: float = 0
    mem_alarm: bool = False
    disk_free: float = 0
    disk_free_alarm: bool = False
    partitions: list[str] = []


class Queue(msgspec.Struct, frozen=True):
    """A queue, as /api/queues has it. One whose node is down has no numbers."""

    name: str
    vhost: str
    state: str = "running"
    consumers: int | None = None
    messages: int | None = None
    messages_ready: int | None = None
    messages_unacknowledged: int | None = None
    arguments: dict[str, Any] = {}
    effective_policy_definition: dict[str, Any] | list[Any] | None = None
    """An empty list where there is none."""


class Totals(msgspec.Struct, frozen=True):
    """Messages of all queues; absent while there is no queue."""

    messages_ready: int = 0
    messages_unacknowledged: int = 0


class Objects(msgspec.Struct, frozen=True):
    """How many there are in the cluster."""

    connections: int = 0
    channels: int = 0
    consumers: int = 0
    queues: int = 0


class Overview(msgspec.Struct, frozen=True):
    """What /api/overview says of the whole."""

    rabbitmq_version: str = ""
    cluster_name: str = ""
    queue_totals: Totals = Totals()
    object_totals: Objects = Objects()


class Answer(msgspec.Struct, kw_only=True):
    """What the management API said."""

    overview: Overview
    nodes: list[Node]
    queues: list[Queue]
    problems: list[str] = []


class Rabbitmq(Check[RabbitmqOptions]):
    """A RabbitMQ node or cluster."""

    Options = RabbitmqOptions
    runs = "job"

    def rules(self) -> list[Rule]:
        """In the order in which an administrator would look."""
        options = self.options
        return [
            Rule("rabbitmq_queue_ready", options.ready, "{value} messages wait in {queue} of {vhost}"),
            Rule("rabbitmq_queue_unacknowledged", options.unacknowledged, "{value} of {queue} are not acknowledged"),
            Rule("rabbitmq_queue_dead_letters", options.dead_lettered, "{value} dead letters in {queue} of {vhost}"),
            Rule(
                "rabbitmq_queue_unattended", options.unattended, "{value} messages in {queue} of {vhost}, no consumer"
            ),
            Rule("rabbitmq_connections", options.connections, "{value} connections"),
            Rule("rabbitmq_node_memory_used_percent", options.memory, "{node} uses {value} of its memory"),
        ]

    def collect(self, context: Context) -> Sample:
        """Ask the management API."""
        deadline = time.monotonic() + self.options.patience
        # requests takes 6 MB and 60 ms: only the child that asks pays for it.
        from agent.checks.rabbitmq_session import ask

        answer = ask(self.options, deadline)
        if isinstance(answer, str):
            return Sample([Measurement("rabbitmq_up", 0)], [Finding("critical", answer)])
        return derive(self.options, answer)


def derive(options: RabbitmqOptions, answer: Answer) -> Sample:
    """What the answers mean."""
    overview = answer.overview
    findings = [Finding("unknown", problem) for problem in answer.problems]
    measurements = [
        Measurement("rabbitmq_up", 1),
        Measurement("rabbitmq_info", 1, labels={"version": overview.rabbitmq_version}),
        Measurement("rabbitmq_connections", overview.object_totals.connections),
        Measurement("rabbitmq_channels", overview.object_totals.channels),
        Measurement("rabbitmq_consumers", overview.object_totals.consumers),
        Measurement("rabbitmq_queues", overview.object_totals.queues),
        Measurement("rabbitmq_ready", overview.queue_totals.messages_ready),
        Measurement("rabbitmq_unacknowledged", overview.queue_totals.messages_unacknowledged),
        Measurement("rabbitmq_nodes_running", sum(node.running for node in answer.nodes)),
    ]
    for node in answer.nodes[:NODES_MAX]:
        measurements += _node(node, findings)
    dead = dead_letter_queues(answer.queues)
    meant = [
        queue
        for queue in answer.queues
        if is_chosen(queue.vhost, options.vhosts, ()) and is_chosen(queue.name, options.queues, options.exclude)
    ]
    for name in sorted(named(options.queues) - {queue.name for queue in meant}):
        findings.append(Finding("critical", f"there is no queue {name}"))
    shown, remarks = largest(meant, lambda queue: queue.messages or 0, options.queues_max, "queues")
    findings += remarks
    for queue in shown:
        is_dead = (queue.vhost, queue.name) in dead or is_chosen(queue.name, options.dead_letter_queues, ())
        measurements += _queue(queue, findings, is_dead=is_dead)
    ready = overview.queue_totals.messages_ready
    summary = f"RabbitMQ {overview.rabbitmq_version}, {overview.object_totals.queues} queues, {ready} messages ready"
    return Sample(measurements, findings, summary)


def dead_letter_queues(queues: Sequence[Queue]) -> set[tuple[str, str]]:
    """Virtual host and name of the queues that others name as where their dead letters go.

    That is a queue's argument or policy with the default exchange, whose routing keys are names of queues
    (https://www.rabbitmq.com/docs/dlx). What goes through another exchange depends on its bindings.
    """
    found = set()
    for queue in queues:
        policy = queue.effective_policy_definition
        settings = dict(policy) if isinstance(policy, Mapping) else {}
        settings |= {name.removeprefix("x-"): value for name, value in queue.arguments.items()}
        if settings.get(EXCHANGE) == "" and isinstance(key := settings.get(KEY), str):
            found.add((queue.vhost, key))
    return found


def _node(node: Node, findings: list[Finding]) -> list[Measurement]:
    labels = {"node": node.name}
    measurements = [Measurement("rabbitmq_node_running", float(node.running), labels=labels)]
    if not node.running:
        findings.append(Finding("critical", f"node {node.name} is not running"))
        return measurements
    if node.mem_alarm:
        findings.append(Finding("critical", f"node {node.name} takes no messages: its memory is full"))
    if node.disk_free_alarm:
        findings.append(Finding("critical", f"node {node.name} takes no messages: its disk is full"))
    if node.partitions:
        findings.append(Finding("critical", f"node {node.name} is cut off from {', '.join(node.partitions[:5])}"))
    if node.mem_limit > 0:
        percent = 100 * node.mem_used / node.mem_limit
        measurements.append(Measurement("rabbitmq_node_memory_used_percent", percent, "percent", labels))
    return [
        *measurements,
        Measurement("rabbitmq_node_memory_bytes", node.mem_used, "bytes", labels),
        Measurement("rabbitmq_node_disk_free_bytes", node.disk_free, "bytes", labels),
    ]


def _queue(queue: Queue, findings: list[Finding], *, is_dead: bool) -> list[Measurement]:
    labels = {"vhost": queue.vhost, "queue": queue.name}
    ready, unacknowledged, consumers = queue.messages_ready, queue.messages_unacknowledged, queue.consumers
    if ready is None or unacknowledged is None or consumers is None:
        findings.append(Finding("critical", f"queue {queue.name} of {queue.vhost} is {queue.state}"))
        return []
    if is_dead:
        return [Measurement("rabbitmq_queue_dead_letters", ready + unacknowledged, labels=labels)]
    return [
        Measurement("rabbitmq_queue_ready", ready, labels=labels),
        Measurement("rabbitmq_queue_unacknowledged", unacknowledged, labels=labels),
        Measurement("rabbitmq_queue_consumers", consumers, labels=labels),
        Measurement("rabbitmq_queue_unattended", 0 if consumers else ready, labels=labels),
    ]
