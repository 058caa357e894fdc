use squawk_syntax::SourceFile;
use squawk_syntax::ast::AstNode;

use super::{Ledger, Mode};
use crate::catalog::{ConstraintKind, Dependent, DependentKind, Object};
use crate::dialect::postgres::words::{Walk, Words};
use crate::dialect::postgres::{domain, undo};
use crate::plan::Held;
use crate::sql::{Ident, TableName};

/// What stands between the commas of a list.
fn parts(list: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for word in list.split(' ') {
        match word {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            _ => {}
        }
        match parts.last_mut() {
            Some(last) if word != "," || depth > 0 => last.push_str(word),
            _ => parts.push(String::new()),
        }
    }
    parts
}

/// What a string holds, between quotes or dollars.
fn unquoted(word: &str) -> String {
    if let Some(rest) = word.strip_prefix('$') {
        let tag = rest.find('$').map_or(0, |at| at + 2);
        return word[tag..].strip_suffix(&word[..tag]).unwrap_or_default().to_owned();
    }
    word.trim_matches('\'').replace("''", "'")
}

/// The tables that a publication names, with their columns and conditions.
fn published(mut walk: Walk<'_>) -> Vec<TableName> {
    let mut found = Vec::new();
    loop {
        walk.takes(&["table"]);
        walk.takes(&["only"]);
        found.extend(walk.name());
        walk.takes(&["*"]);
        walk.inside();
        if walk.takes(&["where"]) {
            walk.inside();
        }
        if !walk.takes(&[","]) || walk.sees(&["tables"]) {
            return found;
        }
    }
}

/// Whether the rest of an ALTER MATERIALIZED VIEW sets what only the server's own work minds.
fn settings(mut walk: Walk<'_>) -> bool {
    if walk.takes(&["alter"]) {
        walk.takes(&["column"]);
        walk.next();
    }
    let gentle: [&[&str]; 5] =
        [&["set", "("], &["reset", "("], &["set", "statistics"], &["cluster"], &["set", "without"]];
    gentle.iter().any(|words| walk.sees(words))
}

impl Ledger<'_> {
    /// Every statement but ALTER TABLE, by its first words.
    pub(super) fn other(&mut self, mut walk: Walk<'_>) {
        match walk.next().unwrap_or_default() {
            "create" => self.create(walk),
            "drop" => self.drop(walk),
            "comment" => self.comment(walk),
            "alter" => self.alter(walk),
            "truncate" => {
                walk.takes(&["table"]);
                walk.takes(&["only"]);
                for name in walk.names() {
                    self.take_all(&name, Mode::AccessExclusive, Held::Instant);
                }
            }
            "lock" => {
                walk.takes(&["table"]);
                walk.takes(&["only"]);
                let names = walk.names();
                let mut rest = walk;
                let mode = if rest.past(&["in"]) { Mode::named(rest) } else { None };
                for name in names {
                    let mode = mode.unwrap_or(Mode::AccessExclusive);
                    self.take_all(&name, mode, Held::Instant);
                }
            }
            "analyze" => {
                while let Some(name) = walk.name() {
                    self.take_all(&name, Mode::ShareUpdateExclusive, Held::WhileScanning);
                    walk.inside();
                    walk.takes(&[","]);
                }
            }
            "refresh" => {
                walk.past(&["view"]);
                let gentle = walk.takes(&["concurrently"]);
                let mode = if gentle { Mode::Exclusive } else { Mode::AccessExclusive };
                if let Some(name) = walk.name() {
                    self.take(&name, mode, Held::WhileRewriting);
                    self.read_by(&name);
                }
            }
            "insert" => {
                walk.takes(&["into"]);
                self.insert(walk);
                // Which partition a row goes to is not to be seen here.
                self.write(&mut walk, false);
            }
            "with" | "merge" => {
                for head in [&["insert", "into"][..], &["update"], &["delete", "from"], &["into"]] {
                    let mut rest = walk;
                    while rest.past(head) {
                        self.writes(rest);
                    }
                }
                self.reads(walk, None);
            }
            "cluster" => {
                walk.takes(&["verbose"]);
                if let Some(name) = walk.name() {
                    self.take(&name, Mode::AccessExclusive, Held::WhileRewriting);
                }
            }
            "reindex" => self.reindex(walk),
            "update" => self.write(&mut walk, true),
            "delete" => {
                walk.takes(&["from"]);
                self.write(&mut walk, true);
            }
            "grant" | "revoke" | "set" | "begin" => {}
            _ => self.reads(walk, None),
        }
    }

    /// The tables that foreign keys of new rows point to, where the statement lists rows.
    fn insert(&mut self, mut walk: Walk<'_>) {
        let Some(table) = walk.name().and_then(|name| self.catalog.find(&name)) else { return };
        if walk.takes(&["as"]) {
            walk.next();
        }
        let listed = walk.inside().map(|inside| parts(&inside));
        let columns = listed.unwrap_or_else(|| {
            table.columns.iter().map(|column| column.name.to_string()).collect()
        });
        if !walk.past(&["values"]) {
            return;
        }
        let mut rows = Vec::new();
        while let Some(row) = walk.inside() {
            rows.push(parts(&row));
            walk.takes(&[","]);
        }
        let given = |column: &Ident, row: &[String]| {
            let at = columns.iter().position(|name| name == column.as_str());
            at.and_then(|at| row.get(at)).is_some_and(|value| value != "null" && value != "default")
        };
        let mut pointed = Vec::new();
        for key in table.constraints.iter().filter(|one| one.kind == ConstraintKind::Foreign) {
            if rows.iter().any(|row| key.columns.iter().all(|column| given(column, row))) {
                pointed.extend(key.references.clone());
            }
        }
        for name in pointed {
            self.take(&name, Mode::RowShare, Held::WhileScanning);
        }
    }

    fn write(&mut self, walk: &mut Walk<'_>, everywhere: bool) {
        walk.takes(&["only"]);
        let Some(name) = walk.name() else { return };
        if everywhere {
            self.take_all(&name, Mode::RowExclusive, Held::WhileScanning);
        } else {
            self.take(&name, Mode::RowExclusive, Held::WhileScanning);
        }
        self.reads(*walk, Some(&name));
    }

    /// The known table that stands next, which a part of a statement writes to.
    fn writes(&mut self, mut walk: Walk<'_>) {
        walk.takes(&["only"]);
        if let Some(name) = walk.name().filter(|name| self.catalog.find(name).is_some()) {
            self.take_all(&name, Mode::RowExclusive, Held::WhileScanning);
        }
    }

    /// While an index is built anew in its place, not even a query of its table is planned.
    fn reindex(&mut self, mut walk: Walk<'_>) {
        walk.parentheses();
        let whole = walk.takes(&["table"]);
        if !whole && !walk.takes(&["index"]) {
            return;
        }
        let online = walk.takes(&["concurrently"]);
        let Some(name) = walk.name() else { return };
        let table = if whole {
            self.catalog.find(&name)
        } else {
            self.catalog.index(&name).map(|(table, _)| table)
        };
        let Some(table) = table else { return };
        let mode = if online { Mode::ShareUpdateExclusive } else { Mode::Share };
        self.take_all(&table.name, mode, Held::WhileScanning);
        let named = |index: &&crate::catalog::Index| whole || index.name == name.name;
        for index in table.indexes.iter().filter(|index| !online && named(index)) {
            let index = TableName { schema: table.name.schema.clone(), name: index.name.clone() };
            self.take(&index, Mode::AccessExclusive, Held::WhileScanning);
        }
    }

    /// A rule of a domain is proved in every table that has a column of it.
    fn domain(&mut self, mut walk: Walk<'_>) {
        let Some(name) = walk.name() else { return };
        let proves = walk.sees(&["validate"])
            || walk.sees(&["set", "not", "null"])
            || walk.sees(&["add"]) && !walk.holds(&["not", "valid"]);
        if proves {
            for column in domain::users(self.catalog, &name) {
                self.take_all(&column.table, Mode::Share, Held::WhileScanning);
            }
        }
    }

    /// What a view is made from, and what the views among that are.
    fn read_by(&mut self, view: &TableName) {
        let view = self.named(view);
        let of = |one: &&Object| one.name == view && one.kind.ends_with("view");
        let Some(definition) = self.catalog.objects.iter().find(of).map(|one| &one.definition)
        else {
            return;
        };
        let words = Words::of(SourceFile::parse(definition).tree().syntax());
        let mut walk = Walk::along(&words);
        walk.past(&["as"]);
        for name in self.named_in(walk, Some(&view)) {
            self.take(&name, Mode::AccessShare, Held::WhileScanning);
            self.read_by(&name);
        }
    }

    /// Every relation that the rest of a statement names.
    fn reads(&mut self, walk: Walk<'_>, but: Option<&TableName>) {
        for name in self.named_in(walk, but) {
            self.take(&name, Mode::AccessShare, Held::WhileScanning);
        }
    }

    fn named_in(&self, mut walk: Walk<'_>, but: Option<&TableName>) -> Vec<TableName> {
        let mut found = Vec::new();
        while let Some(name) = walk.name() {
            let known = self.catalog.find(&name).map(|table| table.name.clone());
            let other =
                but.is_none_or(|but| self.catalog.placed(but) != self.catalog.placed(&name));
            found.extend(known.filter(|_| other));
        }
        found
    }

    fn create(&mut self, mut walk: Walk<'_>) {
        walk.takes(&["or", "replace"]);
        let unique = walk.takes(&["unique"]);
        let _ = walk.takes(&["constraint"]);
        if unique || walk.sees(&["index"]) {
            walk.takes(&["index"]);
            let online = walk.takes(&["concurrently"]);
            walk.past(&["on"]);
            let only = walk.takes(&["only"]);
            let mode = if online { Mode::ShareUpdateExclusive } else { Mode::Share };
            let Some(name) = walk.name() else { return };
            let parted = self.catalog.find(&name).is_some_and(|one| !one.partitions.is_empty());
            if only && parted {
                self.take(&name, mode, Held::Instant);
            } else {
                self.take_all(&name, mode, Held::WhileScanning);
            }
        } else if walk.takes(&["trigger"]) {
            walk.past(&["on"]);
            if let Some(name) = walk.name() {
                self.take_all(&name, Mode::ShareRowExclusive, Held::Instant);
            }
        } else if walk.sees(&["policy"]) || walk.sees(&["rule"]) {
            let rule = walk.sees(&["rule"]);
            walk.past(if rule { &["to"] } else { &["on"] });
            if let Some(name) = walk.name() {
                self.take(&name, Mode::AccessExclusive, Held::Instant);
            }
        } else if walk.takes(&["statistics"]) {
            walk.past(&["from"]);
            if let Some(name) = walk.name() {
                self.take(&name, Mode::ShareUpdateExclusive, Held::Instant);
            }
        } else if walk.sees(&["function"]) || walk.sees(&["procedure"]) {
            self.routine(walk);
        } else if walk.sees(&["sequence"]) {
            self.owned(walk);
        } else if walk.takes(&["publication"]) {
            if walk.past(&["table"]) {
                for name in published(walk) {
                    self.take_all(&name, Mode::ShareUpdateExclusive, Held::Instant);
                }
            }
        } else if walk.sees(&["table"]) || walk.sees(&["unlogged", "table"]) {
            self.create_table(walk);
        } else if ["view", "materialized", "recursive"].iter().any(|word| walk.sees(&[word])) {
            walk.past(&["view"]);
            walk.takes(&["if", "not", "exists"]);
            let view = walk.name();
            if let Some(view) = view.filter(|view| self.catalog.find(view).is_some()) {
                self.take(&view, Mode::AccessExclusive, Held::Instant);
            }
            self.reads(walk, None);
        }
    }

    /// The server reads a body in its own language, and looks at what that names.
    fn routine(&mut self, mut walk: Walk<'_>) {
        let mut atomic = walk;
        if atomic.past(&["begin", "atomic"]) {
            self.looked_at(atomic);
        } else if walk.holds(&["language", "sql"]) && walk.past(&["as"]) {
            let body = walk.next().map(unquoted).unwrap_or_default();
            for one in SourceFile::parse(&body).tree().stmts() {
                let words = Words::of(one.syntax());
                self.looked_at(Walk::along(&words));
            }
        }
    }

    fn looked_at(&mut self, walk: Walk<'_>) {
        for head in [&["insert", "into"][..], &["update"], &["delete", "from"]] {
            let mut rest = walk;
            while rest.past(head) {
                rest.takes(&["only"]);
                if let Some(name) = rest.name().filter(|name| self.catalog.find(name).is_some()) {
                    self.take(&name, Mode::RowExclusive, Held::Instant);
                }
            }
        }
        let rows = ["update", "share", "no", "key"].iter().any(|word| walk.holds(&["for", word]));
        let mode = if rows { Mode::RowShare } else { Mode::AccessShare };
        for name in self.named_in(walk, None) {
            self.take(&name, mode, Held::Instant);
        }
    }

    /// A new table is seen by nobody; those it points to are locked.
    fn create_table(&mut self, mut walk: Walk<'_>) {
        let mut rest = walk;
        while rest.past(&["references"]) {
            if let Some(name) = rest.name().filter(|name| self.catalog.find(name).is_some()) {
                self.take_all(&name, Mode::ShareRowExclusive, Held::Instant);
            }
        }
        let mut rest = walk;
        if rest.past(&["inherits", "("]) {
            for name in rest.names() {
                self.take(&name, Mode::ShareUpdateExclusive, Held::Instant);
            }
        }
        let mut rest = walk;
        while rest.past(&["like"]) {
            if let Some(name) = rest.name().filter(|name| self.catalog.find(name).is_some()) {
                self.take(&name, Mode::AccessShare, Held::Instant);
            }
        }
        let mut rest = walk;
        if rest.past(&["partition", "of"])
            && let Some(parent) = rest.name()
        {
            self.take(&parent, Mode::AccessExclusive, Held::Instant);
            self.take_default_of(&parent);
        }
        if walk.past(&["as"]) {
            self.reads(walk, None);
        }
    }

    fn drop(&mut self, mut walk: Walk<'_>) {
        if walk.takes(&["table"]) {
            walk.takes(&["if", "exists"]);
            for name in walk.names() {
                self.drop_table(&name);
            }
        } else if walk.takes(&["index"]) {
            let online = walk.takes(&["concurrently"]);
            walk.takes(&["if", "exists"]);
            for index in walk.names() {
                let table = self.catalog.index(&index).map(|(table, _)| table.name.clone());
                let mode = if online { Mode::ShareUpdateExclusive } else { Mode::AccessExclusive };
                if let Some(table) = table {
                    self.take_all(&table, mode, Held::Instant);
                }
            }
        } else if ["trigger", "policy", "rule"].iter().any(|kind| walk.sees(&[kind])) {
            walk.past(&["on"]);
            if let Some(name) = walk.name() {
                self.take_all(&name, Mode::AccessExclusive, Held::Instant);
            }
        } else if walk.takes(&["statistics"]) {
            walk.takes(&["if", "exists"]);
            for name in walk.names() {
                let of = |one: &Dependent| {
                    one.kind == DependentKind::Statistics && one.name == name.name
                };
                let table = self.catalog.tables.values().find(|one| one.dependents.iter().any(of));
                if let Some(table) = table.map(|one| one.name.clone()) {
                    self.take(&table, Mode::ShareUpdateExclusive, Held::Instant);
                }
            }
        } else if walk.takes(&["view"]) || walk.takes(&["materialized", "view"]) {
            walk.takes(&["if", "exists"]);
            for name in walk.names() {
                self.take(&name, Mode::AccessExclusive, Held::Instant);
            }
        }
    }

    /// OWNED BY of a sequence looks at the column's table.
    fn owned(&mut self, mut walk: Walk<'_>) {
        if walk.past(&["owned", "by"])
            && !walk.sees(&["none"])
            && let Some(column) = walk.column()
        {
            self.take(&column.table, Mode::AccessShare, Held::Instant);
        }
    }

    fn comment(&mut self, mut walk: Walk<'_>) {
        walk.takes(&["on"]);
        let (name, mode) = match walk.next().unwrap_or_default() {
            "table" | "view" => (walk.name(), Mode::ShareUpdateExclusive),
            "materialized" | "foreign" => {
                walk.next();
                (walk.name(), Mode::ShareUpdateExclusive)
            }
            "column" => (walk.column().map(|column| column.table), Mode::ShareUpdateExclusive),
            "constraint" | "trigger" | "policy" | "rule" => {
                walk.past(&["on"]);
                let of_domain = walk.takes(&["domain"]) && !walk.sees(&["is"]);
                (walk.name().filter(|_| !of_domain), Mode::AccessShare)
            }
            _ => return,
        };
        if let Some(name) = name.filter(|name| self.catalog.find(name).is_some()) {
            self.take(&name, mode, Held::Instant);
        }
    }

    /// Tables that a publication gets or loses; with SET both.
    fn publication(&mut self, mut walk: Walk<'_>) {
        let Some(name) = walk.name() else { return };
        let all = walk.takes(&["set"]);
        if !all {
            walk.next();
        }
        if !walk.takes(&["table"]) {
            return;
        }
        let listed = published(walk);
        let known = undo::object(self.catalog, "publication", &name, None, None);
        let before = known.filter(|_| all).map(|one| &one.definition);
        let words = Words::of(&SourceFile::parse(before.map_or("", String::as_str)).syntax_node());
        let mut before = Walk::along(&words);
        let before = before.past(&["table"]).then(|| published(before));
        for table in listed.into_iter().chain(before.into_iter().flatten()) {
            self.take_all(&table, Mode::ShareUpdateExclusive, Held::Instant);
        }
    }

    fn alter(&mut self, mut walk: Walk<'_>) {
        if walk.takes(&["domain"]) {
            self.domain(walk);
        } else if walk.takes(&["publication"]) {
            self.publication(walk);
        } else if walk.sees(&["sequence"]) {
            self.owned(walk);
        } else if walk.sees(&["view"]) || walk.sees(&["materialized"]) {
            let kept = walk.takes(&["materialized"]);
            walk.takes(&["view"]);
            walk.takes(&["if", "exists"]);
            let Some(name) = walk.name() else { return };
            let gentle = kept && settings(walk);
            let mode = if gentle { Mode::ShareUpdateExclusive } else { Mode::AccessExclusive };
            self.take(&name, mode, Held::Instant);
        } else if walk.sees(&["trigger"]) || walk.sees(&["policy"]) {
            walk.past(&["on"]);
            if let Some(name) = walk.name() {
                self.take(&name, Mode::AccessExclusive, Held::Instant);
            }
        }
    }
}
