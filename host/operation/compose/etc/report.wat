;; It leads, and does nothing with it: `docker compose logs -f` shows who does. Any plugin can take its place.
(module
  (func (export "on_elected"))
  (func (export "on_demoted")))
