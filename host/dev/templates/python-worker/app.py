import wit_world
from wit_world.imports import monotonic_clock, state
from wit_world.imports.leadership import Demotion, Term

import work

stopping = False


class WitWorld(wit_world.WitWorld):
    async def on_elected(self, term: Term) -> None:
        while not stopping:
            entry = await state.get("done")
            item = work.next_item(entry.value if entry else None)
            # The work on the item stands here. Hand the token to whatever it changes.
            print(f"item {item}, with token {term.fencing_token}")
            await state.set("done", str(item).encode())
            await monotonic_clock.wait_for(1_000_000_000)

    async def on_demoted(self, reason: Demotion) -> None:
        global stopping
        stopping = True
