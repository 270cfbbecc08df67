"""How a rollout is watched: a live table on a terminal, lines where output is piped, events as JSON."""

from rollout.show.contract import Show

__all__ = ["Show"]
