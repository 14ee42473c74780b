;; A whole plugin. Any language that compiles to WebAssembly can make one like it: no SDK, no WASI, no component.
(module
  (func (export "on_elected"))
  (func (export "on_demoted")))
