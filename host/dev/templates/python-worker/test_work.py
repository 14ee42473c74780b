import unittest

import work


class NextItem(unittest.TestCase):
    def test_the_next_leader_goes_on_where_the_last_one_stopped(self) -> None:
        self.assertEqual(work.next_item(None), 1)
        self.assertEqual(work.next_item(b"41"), 42)
