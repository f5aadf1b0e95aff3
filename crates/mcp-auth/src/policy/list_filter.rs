//! Filters the results of `tools/list` and similar methods, so that callers see only what they may use.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::model::auth_info::AuthInfo;
use crate::model::scope::Scopes;
use crate::util::json::{self, ObjectError, Raw};

/// The kind of items in a list of an MCP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListItemKind {
    /// A tool, identified by its `name`.
    Tool,
    /// A prompt, identified by its `name`.
    Prompt,
    /// A resource, identified by its `uri`.
    Resource,
    /// A resource template, identified by its `uriTemplate`.
    ResourceTemplate,
    /// A skill, identified by its `uri`. The files that it lists are resources.
    Skill,
}

impl ListItemKind {
    const ALL: [Self; 5] =
        [Self::Tool, Self::Prompt, Self::Resource, Self::ResourceTemplate, Self::Skill];

    /// The member of a result that contains the list.
    const fn member(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Prompt => "prompts",
            Self::Resource => "resources",
            Self::ResourceTemplate => "resourceTemplates",
            Self::Skill => "skills",
        }
    }

    /// The member that identifies an item.
    const fn key(self) -> &'static str {
        match self {
            Self::Tool | Self::Prompt => "name",
            Self::Resource | Self::Skill => "uri",
            Self::ResourceTemplate => "uriTemplate",
        }
    }
}

/// Whether a caller may see the item with this name.
pub(crate) type ListPredicate = dyn Fn(Option<&AuthInfo>, ListItemKind, &str) -> bool + Send + Sync;

/// The scopes that the tool with this name needs, if any.
pub(crate) type ToolScopeLookup = dyn Fn(&str) -> Option<Scopes> + Send + Sync;

/// What callers see of lists.
#[derive(Default)]
pub(crate) struct ListFilter {
    /// Decides who sees which items. If `None`, everyone sees everything.
    pub(crate) keep: Option<Box<ListPredicate>>,
    /// The scopes to write into `securitySchemes` of a tool that has no such member itself.
    pub(crate) required_scopes: Option<Box<ToolScopeLookup>>,
}

/// The message is not passed on, because a list in it cannot be recognized reliably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnfilterableList;

impl From<ObjectError> for UnfilterableList {
    fn from(_: ObjectError) -> Self {
        Self
    }
}

/// One change to a text: a range, and what replaces it.
type Edit = (Range<usize>, String);

impl ListFilter {
    /// Filters a JSON-RPC response, or a batch of them, for a caller. Returns `None` if nothing changes.
    ///
    /// Only what must change is rewritten. Everything else stays byte for byte: numbers, the order, the cursor,
    /// `ttlMs`. `cacheScope` becomes `private`, since the list is for one caller: in results that have
    /// `cacheScope` or `ttlMs`, and in all lists if `may_be_cached`
    /// ([MCP, *Caching*](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching)).
    pub(crate) fn filter_for(
        &self,
        caller: Option<&AuthInfo>,
        message: &str,
        may_be_cached: bool,
    ) -> Result<Option<String>, UnfilterableList> {
        let reader = Reader { filter: self, caller, may_be_cached, whole: message };
        let mut edits = Vec::new();
        match message.trim_start().as_bytes().first() {
            Some(b'[') => {
                let batch = Raw::read(message).and_then(Raw::array).ok_or(UnfilterableList)?;
                for element in batch.into_iter().filter(is_object) {
                    reader.response(element.get(), &mut edits)?;
                }
            }
            _ => reader.response(message, &mut edits)?,
        }
        Ok((!edits.is_empty()).then(|| edited(message, edits)))
    }
}

struct Reader<'a> {
    filter: &'a ListFilter,
    caller: Option<&'a AuthInfo>,
    may_be_cached: bool,
    whole: &'a str,
}

impl Reader<'_> {
    fn response(&self, response: &str, edits: &mut Vec<Edit>) -> Result<(), UnfilterableList> {
        let [result] = json::pick(response, ["result"])?;
        match result {
            Some(result) if is_object(&result) => self.result(result.get(), edits),
            _ => Ok(()),
        }
    }

    fn result(&self, result: &str, edits: &mut Vec<Edit>) -> Result<(), UnfilterableList> {
        let [tools, prompts, resources, templates, skills] =
            ListItemKind::ALL.map(ListItemKind::member);
        let names = [tools, prompts, resources, templates, skills, "skill", "cacheScope", "ttlMs"];
        let [tools, prompts, resources, templates, skills, skill, scope, ttl] =
            json::pick(result, names)?;
        let mut is_list = false;
        for (item_kind, list) in
            ListItemKind::ALL.into_iter().zip([tools, prompts, resources, templates, skills])
        {
            let list = list.and_then(|list| Some((list, list.array()?)));
            is_list |= list.is_some();
            if let Some((list, elements)) = list {
                edits.extend(self.list(item_kind, list, &elements)?);
            }
        }
        if let Some(skill) = skill.filter(is_object) {
            is_list = true;
            edits.extend(self.files(skill.get())?);
        }
        match scope {
            _ if !is_list || self.filter.keep.is_none() => {}
            Some(scope) if scope.get() == r#""private""# => {}
            Some(scope) => edits.push((self.place(scope.get()), r#""private""#.to_owned())),
            None if ttl.is_some() || self.may_be_cached => {
                let first = self.place(result).start + 1;
                edits.push((first..first, r#""cacheScope":"private","#.to_owned()));
            }
            None => {}
        }
        Ok(())
    }

    /// The rewritten list. Returns `None` if nothing is left out or added.
    fn list(
        &self,
        item_kind: ListItemKind,
        list: Raw<'_>,
        elements: &[Raw<'_>],
    ) -> Result<Option<Edit>, UnfilterableList> {
        let mut is_same = true;
        let mut shown = Vec::with_capacity(elements.len());
        for &element in elements {
            if !self.is_shown(item_kind, element) {
                is_same = false;
                continue;
            }
            let rewritten = match item_kind {
                ListItemKind::Tool => self.with_security_schemes(element.get()),
                ListItemKind::Skill => self.with_shown_files(element.get())?,
                _ => None,
            };
            is_same &= rewritten.is_none();
            shown.push(rewritten.map_or(Cow::Borrowed(element.get()), Cow::Owned));
        }
        Ok((!is_same).then(|| (self.place(list.get()), format!("[{}]", shown.join(",")))))
    }

    /// The rewritten list of the files of a skill. Returns `None` if nothing is left out.
    fn files(&self, skill: &str) -> Result<Option<Edit>, UnfilterableList> {
        let [files] = json::pick(skill, ["resources"])?;
        let files = files.and_then(|files| Some((files, files.array()?)));
        let Some((files, elements)) = files else { return Ok(None) };
        self.list(ListItemKind::Resource, files, &elements)
    }

    /// The skill without the files that its reader may not read. Returns `None` if nothing is left out.
    fn with_shown_files(&self, skill: &str) -> Result<Option<String>, UnfilterableList> {
        let start = self.place(skill).start;
        let edit = self.files(skill)?;
        Ok(edit.map(|(place, files)| {
            edited(skill, vec![(place.start - start..place.end - start, files)])
        }))
    }

    /// An item without a name, or with two, cannot be requested, so it is not shown.
    fn is_shown(&self, item_kind: ListItemKind, element: Raw<'_>) -> bool {
        let Some(keep) = &self.filter.keep else { return true };
        let Ok([Some(name)]) = json::pick(element.get(), [item_kind.key()]) else { return false };
        name.string().is_some_and(|name| keep(self.caller, item_kind, &name))
    }

    /// The tool with the scopes that it needs. Returns `None` if it needs none, or has `securitySchemes`
    /// itself.
    fn with_security_schemes(&self, tool: &str) -> Option<String> {
        let required_scopes = self.filter.required_scopes.as_ref()?;
        let [name, schemes] = json::pick(tool, ["name", "securitySchemes"]).ok()?;
        let scopes = required_scopes(&name?.string()?).filter(|_| schemes.is_none())?;
        let scopes = serde_json::Value::from_iter(scopes.iter());
        let tool = tool.strip_suffix('}')?;
        Some(format!(r#"{tool},"securitySchemes":[{{"type":"oauth2","scopes":{scopes}}}]}}"#))
    }

    /// The range of a part in the whole message.
    fn place(&self, part: &str) -> Range<usize> {
        let start = part.as_ptr() as usize - self.whole.as_ptr() as usize;
        start..start + part.len()
    }
}

fn is_object(value: &Raw<'_>) -> bool {
    value.get().starts_with('{')
}

fn edited(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(place, _)| place.start);
    let mut edited = String::with_capacity(text.len() + 64);
    let mut from = 0;
    for (place, replacement) in edits {
        edited += text.get(from..place.start).unwrap_or_default();
        edited += &replacement;
        from = place.end;
    }
    edited + text.get(from..).unwrap_or_default()
}

impl fmt::Debug for ListFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListFilter").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Hides names that contain `admin`. Tools whose name begins with `w` need a scope.
    pub(crate) fn lists(with_security_schemes: bool) -> ListFilter {
        let required_scopes =
            |tool: &str| tool.starts_with('w').then(|| Scopes::from(["notes:write"]));
        ListFilter {
            keep: Some(Box::new(|_, _, name| !name.contains("admin"))),
            required_scopes: with_security_schemes
                .then(|| Box::new(required_scopes) as Box<ToolScopeLookup>),
        }
    }

    fn shown(message: &str, may_be_cached: bool) -> Result<Option<String>, UnfilterableList> {
        lists(false).filter_for(None, message, may_be_cached)
    }

    #[test]
    fn forbidden_items_are_removed_from_lists() {
        let rows = [
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","x":1.0},{"name":"admin"},{"name":"b","n":12345678901234567890}],"nextCursor":"c"}}"#,
                r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","x":1.0},{"name":"b","n":12345678901234567890}],"nextCursor":"c"}}"#,
            ),
            (
                r#"{"result":{"prompts":[{"name":"admin"}]},"id":"x"}"#,
                r#"{"result":{"prompts":[]},"id":"x"}"#,
            ),
            (
                r#"{"id":1,"result":{"resources":[{"name":"admin","uri":"a:b"},{"name":"n","uri":"admin:x"}]}}"#,
                r#"{"id":1,"result":{"resources":[{"name":"admin","uri":"a:b"}]}}"#,
            ),
            (
                r#"{"id":1,"result":{"resourceTemplates":[{"uriTemplate":"admin:{x}"},{"uriTemplate":"b:{x}"}]}}"#,
                r#"{"id":1,"result":{"resourceTemplates":[{"uriTemplate":"b:{x}"}]}}"#,
            ),
            // skills, and the files that they list
            (
                r#"{"id":1,"result":{"skills":[{"uri":"admin:x","resources":[]},{"uri":"b:x", "resources":[ {"uri":"b:x"},{"uri":"admin:y"}, {"uri":"b:z"}],"n":1.0},{"uri":"c:x","resources":"dynamic"}]}}"#,
                r#"{"id":1,"result":{"skills":[{"uri":"b:x", "resources":[{"uri":"b:x"},{"uri":"b:z"}],"n":1.0},{"uri":"c:x","resources":"dynamic"}]}}"#,
            ),
            (
                r#"{"id":1,"result":{"skill":{"uri":"b:x","resources":[{"uri":"admin:y"}]},"ttlMs":5}}"#,
                r#"{"id":1,"result":{"cacheScope":"private","skill":{"uri":"b:x","resources":[]},"ttlMs":5}}"#,
            ),
            // names with escapes, and items that cannot be requested
            (
                r#"{"result":{"to\u006fls":[{"name":"\u0061dmin"},{"n\u0061me":"admin"},{"name":"x","name":"y"},{},1,{"name":1},{"name":"k"}]}}"#,
                r#"{"result":{"to\u006fls":[{"name":"k"}]}}"#,
            ),
            // batches, and other lists
            (
                r#" [ {"result":{"tools":[{"name":"admin"}]}} , {"method":"x"}, 1, {"result":{"prompts":[{"name":"admin"},{"name":"p"}]}}]"#,
                r#" [ {"result":{"tools":[]}} , {"method":"x"}, 1, {"result":{"prompts":[{"name":"p"}]}}]"#,
            ),
            // `cacheScope`
            (
                r#"{"result":{"cacheScope":"public","ttlMs":60000,"tools":[]}}"#,
                r#"{"result":{"cacheScope":"private","ttlMs":60000,"tools":[]}}"#,
            ),
            (
                r#"{"result":{ "ttlMs":1e3,"tools":[ {"name":"a"} ]}}"#,
                r#"{"result":{"cacheScope":"private", "ttlMs":1e3,"tools":[ {"name":"a"} ]}}"#,
            ),
            (
                r#"{"result":{"tools":[{"name":"admin"}],"cacheScope":5}}"#,
                r#"{"result":{"tools":[],"cacheScope":"private"}}"#,
            ),
        ];
        for (message, expected) in rows {
            assert_eq!(shown(message, false), Ok(Some(expected.to_owned())), "{message}");
            assert!(serde_json::from_str::<serde_json::Value>(expected).is_ok(), "{expected}");
        }
        let list = r#"{"result":{"tools":[{"name":"a"}]}}"#;
        let private = r#"{"result":{"cacheScope":"private","tools":[{"name":"a"}]}}"#;
        assert_eq!(shown(list, true), Ok(Some(private.to_owned())));
    }

    #[test]
    fn other_messages_are_unchanged() {
        for message in [
            r#"{"result":{"tools":[ {"name":"a" , "x":1.0}, {"name":"b"} ],"nextCursor":""}}"#,
            r#"{"result":{"tools":[],"cacheScope":"private","ttlMs":0}}"#,
            r#"{"result":{"content":[{"type":"text","text":"{\"tools\":[{\"name\":\"admin\"}]}"}],"structuredContent":{"tools":[{"name":"admin"}]}}}"#,
            r#"{"result":{"tools":{"name":"admin"}}}"#,
            r#"{"result":[{"name":"admin"}]}"#,
            r#"{"method":"x","params":{"tools":[{"name":"admin"}]}}"#,
            r#"{"error":{"code":1,"message":"tools"}}"#,
            r#"{"result":null}"#,
            "[]",
            "{}",
        ] {
            assert_eq!(shown(message, false), Ok(None), "{message}");
        }
        let call = r#"{"result":{"content":[],"ttlMs":5,"cacheScope":"public"}}"#;
        assert_eq!(shown(call, true), Ok(None), "no list");
    }

    #[test]
    fn an_ambiguous_list_is_unfilterable() {
        for message in [
            "",
            "x",
            "null",
            r#"{"result":{"tools":[]}"#,
            r#"{"result":{"tools":[]}}x"#,
            r#"{"result":{},"result":{"tools":[{"name":"admin"}]}}"#,
            r#"{"result":{"tools":[],"tools":[{"name":"admin"}]}}"#,
            r#"{"result":{"tools":[],"to\u006fls":[{"name":"admin"}]}}"#,
            r#"{"result":{"tools":[],"cacheScope":"private","cacheScope":"public"}}"#,
            r#"{"result":{"skills":[{"uri":"b:x","resources":[],"resources":[{"uri":"admin:y"}]}]}}"#,
            r#"[{"result":{},"result":{}}]"#,
            r#"[{"result":{}},"#,
            "\u{feff}{}",
        ] {
            assert_eq!(shown(message, false), Err(UnfilterableList), "{message}");
        }
    }

    #[test]
    fn security_schemes_are_added_to_tools_without_them() {
        let message = r#"{"result":{"tools":[{"name":"read"},{"name":"write"},{"name":"w2","securitySchemes":[]},{"name":"admin_w"}],"prompts":[{"name":"w"}]}}"#;
        let expected = r#"{"result":{"tools":[{"name":"read"},{"name":"write","securitySchemes":[{"type":"oauth2","scopes":["notes:write"]}]},{"name":"w2","securitySchemes":[]}],"prompts":[{"name":"w"}]}}"#;
        assert_eq!(lists(true).filter_for(None, message, false), Ok(Some(expected.to_owned())));
    }
}
