(component
  (import "soloist:plugin/log@0.1.0" (instance $log
    (type $level' (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $level')))
    (type $fields (list (tuple string string)))
    (export "log" (func (param "level" $level) (param "message" string) (param "fields" $fields)))))
  (component $inner
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f async (canon lift (core func $i "f")))
    (export "f" (func $f)))
  (instance $a (instantiate $inner))
  (alias export $a "f" (func $f))
  (export "on-elected" (func $f))
  (export "on-demoted" (func $f)))
