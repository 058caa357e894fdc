//! What an ORM maps: all of it is read and written, whatever the code asks for.

use std::collections::BTreeSet;

use serde::Deserialize;

/// A table, and the columns of it that are mapped.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Model {
    /// With its schema, where it has one.
    table: String,
    columns: Vec<String>,
}

#[derive(Deserialize)]
struct Dump {
    models: Vec<Model>,
}

impl Model {
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// A statement that reads and writes what is mapped, as the ORM's own would.
    pub(super) fn statement(&self) -> Option<String> {
        if self.columns.is_empty() {
            return None;
        }
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let table: Vec<_> = self.table.split('.').map(quoted).collect();
        let columns: Vec<_> = self.columns.iter().map(|one| quoted(one)).collect();
        let (table, columns) = (table.join("."), columns.join(", "));
        Some(format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}"))
    }
}

/// A dump of any ORM's models, as docs/usage-manifest.md has it.
pub(super) fn dump(text: &str) -> Result<Vec<Model>, String> {
    let dump: Dump = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match dump.models.iter().find(|one| one.columns.is_empty()) {
        Some(none) => Err(format!("`{}` has no columns", none.table)),
        None if dump.models.is_empty() => Err("there is none".into()),
        None => Ok(dump.models),
    }
}

const SCALARS: [&str; 9] =
    ["String", "Boolean", "Int", "BigInt", "Float", "Decimal", "DateTime", "Json", "Bytes"];

/// The models of a Prisma schema, of all its files in one text.
pub(super) fn prisma(text: &str) -> Result<Vec<Model>, String> {
    let named = |kinds: &[&str]| -> BTreeSet<String> {
        let of = |line: &str| {
            let mut words = line.split_whitespace();
            let kind = words.next().filter(|kind| kinds.contains(kind));
            kind.and_then(|_| words.next()).map(|name| name.trim_end_matches('{').to_owned())
        };
        text.lines().map(without_comment).filter_map(of).collect()
    };
    let (enums, known) = (named(&["enum"]), named(&["model", "view", "type"]));
    let (mut models, mut lists) = (Vec::new(), Vec::new());
    let mut lines = text.lines().map(without_comment);
    while let Some(line) = lines.next() {
        let mut words = line.split_whitespace();
        if !matches!(words.next(), Some("model" | "view")) || !line.contains('{') {
            continue;
        }
        let name = words.next().unwrap_or_default().trim_end_matches('{').to_owned();
        let (mut table, mut schema, mut columns) = (name.clone(), None, Vec::new());
        loop {
            let Some(line) = lines.next() else { return Err(format!("`{name}` does not end")) };
            let line = line.trim();
            if line.starts_with('}') {
                break;
            }
            if let Some(attribute) = line.strip_prefix("@@") {
                match attribute.split('(').next() {
                    Some("map") => table = quoted(attribute).unwrap_or(table),
                    Some("schema") => schema = quoted(attribute),
                    _ => {}
                }
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(field), Some(kind)) = (words.next(), words.next()) else { continue };
            let base = kind.trim_end_matches(['?', '[', ']']);
            let scalar =
                SCALARS.contains(&base) || base.starts_with("Unsupported") || enums.contains(base);
            if !scalar && !known.contains(base) {
                return Err(format!("`{name}.{field}` is a `{base}`, which is not known"));
            }
            // A relation has columns of its own, and what is ignored is not in the client.
            if !scalar && kind.ends_with("[]") && !line.contains("fields:") {
                let relation = line.split_once("@relation").and_then(|(_, rest)| quoted(rest));
                lists.push((name.clone(), base.to_owned(), relation));
            }
            if !scalar || line.contains("@ignore") {
                continue;
            }
            let mapped = line.split_once("@map").and_then(|(_, rest)| quoted(rest));
            columns.push(mapped.unwrap_or_else(|| field.to_owned()));
        }
        let table = schema.map(|schema| format!("{schema}.{table}")).unwrap_or(table);
        if columns.is_empty() {
            return Err(format!("`{name}` has no columns"));
        }
        models.push(Model { table, columns });
    }
    // Lists on both sides are kept in a table of their own, which no model maps.
    for (one, other, relation) in &lists {
        let back = |(from, to, name): &&(String, String, Option<String>)| {
            from == other && to == one && name == relation
        };
        if one <= other && lists.iter().any(|list| back(&list)) {
            let table = relation.clone().unwrap_or_else(|| format!("{one}To{other}"));
            models
                .push(Model { table: format!("_{table}"), columns: vec!["A".into(), "B".into()] });
        }
    }
    if models.is_empty() { Err("there is none".into()) } else { Ok(models) }
}

/// The line before a comment, which does not begin inside of quotes.
fn without_comment(line: &str) -> &str {
    let mut inside = false;
    for (at, letter) in line.char_indices() {
        match letter {
            '"' => inside = !inside,
            '/' if !inside && line[at..].starts_with("//") => return &line[..at],
            _ => {}
        }
    }
    line
}

/// The first text between quotes.
fn quoted(text: &str) -> Option<String> {
    text.split('"').nth(1).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_says_what_is_mapped() {
        let text = r#"
            datasource db { url = env("DATABASE_URL") }
            model User {
              id       Int      @id @default(autoincrement())
              fullName String   @map("full_name") // username
              url      String?  @default("http://x") @map("home")
              role     Role     @default(USER)
              posts    Post[]
              old      String?  @ignore
              @@map("users")
              @@schema("shop")
              @@index([fullName])
            }
            model Post { }
            enum Role {
              USER
            }
        "#;
        let empty = text.replace("model Post { }", "model Post {\n}");
        assert_eq!(prisma(&empty), Err("`Post` has no columns".to_owned()));
        let text = text.replace("model Post { }", "model Post {\n id Int\n author User @relation(fields: [authorId], references: [id])\n authorId Int @map(\"author_id\")\n}");
        let models = prisma(&text).expect("models");
        assert_eq!(models[0].table, "shop.users");
        assert_eq!(models[0].columns, ["id", "full_name", "home", "role"]);
        assert_eq!(models[1].columns, ["id", "author_id"]);
        assert_eq!(
            models[1].statement().as_deref(),
            Some(
                "INSERT INTO \"Post\" (\"id\", \"author_id\") SELECT \"id\", \"author_id\" FROM \"Post\""
            )
        );
        let many = "model B {\n id Int\n as A[]\n}\nmodel A {\n id Int\n bs B[]\n}";
        assert_eq!(prisma(many).expect("models")[2].table, "_AToB");
        assert!(prisma("model A {\n id Strange\n}").is_err());
        assert!(prisma("enum A {\n B\n}").is_err());
        assert!(dump("{\"models\": []}").is_err());
        assert!(prisma("model A {\n id Int").is_err());
        assert!(dump("{\"models\": [{\"table\": \"t\", \"columns\": []}]}").is_err());
        assert!(dump("{}").is_err());
    }
}
