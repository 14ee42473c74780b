import assert from "node:assert";
import { test } from "node:test";

import { greeting } from "./work.js";

test("the leader says hello", () => {
  assert.equal(greeting("host-1", "greeter"), "hello from host-1, leader of greeter");
});
