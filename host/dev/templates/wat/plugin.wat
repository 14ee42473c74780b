;; A whole plugin: the host calls on_elected where it leads, with the number of the term, and on_demoted when that ends.
(module
  (func (export "on_elected") (param $term i64))
  (func (export "on_demoted")))
