;; Instances multiply what their module holds.
(component
    (core module $m
        (global (mut i32) (i32.const 0))
        (func $f (export "f"))
        (elem func $f $f $f $f $f $f $f $f))
    (core instance $a (instantiate $m))
    (core instance $b (instantiate $m))
    (core instance (instantiate $m))
    (component $inner
        (core module $n (table 1048575 funcref) (func $f) (elem (i32.const 1048574) func $f))
        (core instance (instantiate $n)))
    (instance (instantiate $inner))
    (instance (instantiate $inner))
    (type $pair (tuple u8 (tuple u8 u8)))
    (func $elected async (canon lift (core func $a "f")))
    (func $demoted async (canon lift (core func $b "f")))
    (export "on-elected" (func $elected))
    (export "on-demoted" (func $demoted)))
