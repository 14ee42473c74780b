import soloist
import wit_world
from wit_world.imports.leadership import Demotion, Term

import work


@soloist.plugin
class WitWorld(wit_world.WitWorld):
    async def on_elected(self, term: Term) -> None:
        print(work.greeting(term.host, term.task))

    async def on_demoted(self, reason: Demotion) -> None:
        print(f"demoted: {reason.name.lower()}")
