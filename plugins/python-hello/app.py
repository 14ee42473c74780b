"""Says once a second, or at the configured interval, who leads, until leadership ends."""

import wit_world
from wit_world.imports import monotonic_clock, store
from wit_world.imports.leadership import Demotion, Term

MILLISECOND = 1_000_000
stopping = False


class WitWorld(wit_world.WitWorld):
    async def on_elected(self, term: Term) -> None:
        interval_ms = int(store.get("interval_ms") or "1000")
        print(f"hello from {term.host}, leader of {term.task} in term {term.number}")
        beats = 0
        while not stopping:
            await monotonic_clock.wait_for(interval_ms * MILLISECOND)
            beats += 1
            print(f"beat {beats}")
        print(f"stops after {beats} beats")

    async def on_demoted(self, reason: Demotion) -> None:
        global stopping
        stopping = True
        print(f"demoted: {reason.name.lower()}")
