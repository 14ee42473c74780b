import unittest

import work


class Greeting(unittest.TestCase):
    def test_the_leader_says_hello(self) -> None:
        said = work.greeting("host-1", "greeter")
        self.assertEqual(said, "hello from host-1, leader of greeter")
