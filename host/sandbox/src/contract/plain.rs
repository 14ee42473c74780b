//! The plain names by which a bare core module imports the contract. `guest-sdk/c/soloist.h` has them for C.

/// The module that a bare module imports them from.
pub(crate) const MODULE: &str = "soloist";

const LEADERSHIP: &str = "soloist:plugin/leadership@0.1.0";
const LOG: &str = "soloist:plugin/log@0.1.0";
const CLOCK: &str = "soloist:plugin/blocking-clock@0.1.0";
const STATE: &str = "soloist:plugin/blocking-state@0.1.0";
const CONFIG: &str = "wasi:config/store@0.2.0-rc.1";

/// Each plain name, with the interface and the function that it stands for. Whatever version of the contract comes, a name
/// goes on standing for what it does: a module says no version.
const FUNCTIONS: [(&str, &str, &str); 15] = [
    ("should_stop", LEADERSHIP, "should-stop"),
    ("current_term", LEADERSHIP, "current-term"),
    ("remaining", LEADERSHIP, "remaining"),
    ("resign", LEADERSHIP, "resign"),
    ("log", LOG, "log"),
    ("panicked", LOG, "panicked"),
    ("sleep", CLOCK, "sleep"),
    ("config_get", CONFIG, "get"),
    ("config_get_all", CONFIG, "get-all"),
    ("state_get", STATE, "get"),
    ("state_set", STATE, "set"),
    ("state_delete", STATE, "delete"),
    ("state_list", STATE, "list"),
    ("state_compare_and_set", STATE, "compare-and-set"),
    ("state_transact", STATE, "transact"),
];

/// The interface and the function that an import of a bare module stands for.
pub(crate) fn find(module: &str, name: &str) -> Option<(&'static str, &'static str)> {
    let (_, interface, function) = FUNCTIONS
        .into_iter()
        .find(|(plain, ..)| module == MODULE && *plain == name)?;
    Some((interface, function))
}

#[cfg(test)]
mod tests {
    use wit_parser::Resolve;

    use super::*;

    #[test]
    fn every_function_of_the_world_minimal_has_a_plain_name_and_every_name_a_function() {
        let mut resolve = Resolve::default();
        crate::contract::push_packages(&mut resolve).unwrap();
        let minimal = resolve
            .worlds
            .iter()
            .find(|(_, world)| world.name == "minimal");
        let (_, minimal) = minimal.unwrap();
        let mut functions = Vec::new();
        for (key, item) in &minimal.imports {
            if let wit_parser::WorldItem::Interface { id, .. } = item {
                let interface = resolve.name_world_key(key);
                let named = resolve.interfaces[*id].functions.keys();
                functions.extend(named.map(|name| (interface.clone(), name.clone())));
            }
        }
        let mut plain: Vec<_> = FUNCTIONS
            .iter()
            .map(|(_, interface, function)| ((*interface).to_owned(), (*function).to_owned()))
            .collect();
        functions.sort();
        plain.sort();
        assert_eq!(functions, plain);
    }
}
