//! Where something stands in a JSON value: paths such as `/spec/rules`.
//!
//! Input: a value and a path. Output: what is there, if anything.

use serde_json::Value;

/// The value at a path of names and indices, as `Value::pointer` finds it. That makes two texts of each name, which a
/// round over routing objects feels; a name with a `/` or a `~` in it is for that.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let mut names = path.split('/').skip(1);
    names.try_fold(value, |value, name| value.get(name).or_else(|| value.get(name.parse::<usize>().ok()?)))
}

/// The same to be changed, for a path of names alone.
pub(crate) fn at_mut<'v>(value: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    path.split('/').skip(1).try_fold(value, |value, name| value.get_mut(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_where_a_pointer_does() {
        let value = json!({ "a": [{ "b": 1 }, null], "0": { "": "empty" } });
        for path in ["", "/a", "/a/0/b", "/a/1", "/a/2", "/a/b", "/0", "/0/", "/c/d", "/a/0/b/c"] {
            assert_eq!(at(&value, path), value.pointer(path), "{path}");
        }
        let mut value = json!({ "a": { "b": [1] } });
        if let Some(list) = at_mut(&mut value, "/a/b") {
            *list = json!("changed");
        }
        assert_eq!((&value["a"]["b"], at_mut(&mut value.clone(), "/a/c")), (&json!("changed"), None));
    }
}
