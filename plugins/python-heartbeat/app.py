"""Says once a second, or at the configured interval, who leads, until leadership ends."""

import soloist
import wit_world
from wit_world.imports import store
from wit_world.imports.leadership import Demotion, Term


@soloist.plugin
class WitWorld(wit_world.WitWorld):
    beats = 0

    async def on_elected(self, term: Term) -> None:
        interval_ms = int(store.get("interval_ms") or "1000")
        print(f"hello from {term.host}, leader of {term.task} in term {term.number}")
        try:
            while True:
                self.beats += 1
                print(f"beat {self.beats}")
                await soloist.sleep(interval_ms / 1000)
        finally:
            print(f"stops after {self.beats} beats")

    async def on_demoted(self, reason: Demotion) -> None:
        print(f"demoted after {self.beats} beats: {reason.name.lower()}")
