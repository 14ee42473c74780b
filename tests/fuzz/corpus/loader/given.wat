(component
  (component $leaf (core module $m) (core instance (instantiate $m)))
  (component $twice
    (import "x" (component $x))
    (instance (instantiate $x))
    (instance (instantiate $x)))
  (component $one (instance (instantiate $twice (with "x" (component $leaf)))))
  (component $two (instance (instantiate $twice (with "x" (component $one)))))
  (component $made (core module $m) (export "m" (core module $m)))
  (instance $made (instantiate $made))
  (instance (instantiate $two)))
