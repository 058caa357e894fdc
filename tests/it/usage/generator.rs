//! Random schemas of a few small tables, whose names of columns meet each other often, and random
//! statements over them: most of them valid, and many of a kind that is easily misread.

/// Numbers that come again from the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % n as u64).expect("small")
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Once in so many times.
    fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

pub struct Relation {
    pub name: String,
    pub columns: Vec<String>,
    /// What it is made by, where it is a view.
    pub view: Option<String>,
}

/// A schema of numbers: whatever is compared or added to whatever is well.
pub struct World {
    pub relations: Vec<Relation>,
    /// The table and the column that are asked about.
    pub target: (String, String),
}

const COLUMNS: [&str; 8] = ["id", "a", "b", "c", "name", "total", "users", "x"];
const TABLES: [&str; 4] = ["users", "orders", "items", "b"];

impl World {
    pub fn new(dice: &mut Dice) -> Self {
        let mut relations = Vec::new();
        for name in &TABLES[..2 + dice.below(3)] {
            let mut columns = vec!["id".to_owned()];
            for column in &COLUMNS[1..] {
                if dice.below(3) > 0 {
                    columns.push((*column).to_owned());
                }
            }
            if columns.len() < 3 {
                columns.extend(["k".to_owned(), "l".to_owned()]);
            }
            relations.push(Relation { name: (*name).to_owned(), columns, view: None });
        }
        let table = &relations[dice.below(relations.len())];
        let column = table.columns[1 + dice.below(table.columns.len() - 1)].clone();
        let target = (table.name.clone(), column);
        let mut world = Self { relations, target };
        for number in 0..dice.below(3) {
            let mut maker = Maker { dice, world: &world, names: 0, ctes: Vec::new() };
            let (query, columns) = maker.simple_select(&[]);
            let name = format!("v{number}");
            world.relations.push(Relation { name, columns, view: Some(query) });
        }
        world
    }

    pub fn ddl(&self) -> String {
        let mut ddl = String::new();
        for relation in &self.relations {
            match &relation.view {
                None => {
                    let columns: Vec<_> =
                        relation.columns.iter().map(|one| format!("{one} int")).collect();
                    let columns = columns.join(", ").replacen("id int", "id int PRIMARY KEY", 1);
                    ddl.push_str(&format!("CREATE TABLE {} ({columns});\n", relation.name));
                }
                Some(query) => {
                    let names = relation.columns.join(", ");
                    ddl.push_str(&format!("CREATE VIEW {} ({names}) AS {query};\n", relation.name));
                }
            }
        }
        ddl
    }
}

/// A source of a FROM while a statement is made.
#[derive(Clone)]
pub struct Source {
    alias: String,
    columns: Vec<String>,
    /// Whether it is a row that can be used as a value.
    row: bool,
}

pub struct Maker<'a> {
    pub dice: &'a mut Dice,
    pub world: &'a World,
    names: usize,
    ctes: Vec<(String, Vec<String>)>,
}

impl<'a> Maker<'a> {
    pub fn new(dice: &'a mut Dice, world: &'a World) -> Self {
        Self { dice, world, names: 0, ctes: Vec::new() }
    }

    pub fn statement(&mut self) -> String {
        (self.names, self.ctes) = (0, Vec::new());
        match self.dice.below(12) {
            0 => self.insert(),
            1 => self.update(),
            2 => self.delete(),
            3 => self.merge(),
            _ => self.query(2, &[]).0,
        }
    }

    fn fresh(&mut self) -> String {
        // A name that a column or a table has, too, now and then.
        if self.dice.rarely(8) {
            return (*self.dice.one(&COLUMNS)).to_owned();
        }
        self.names += 1;
        format!("t{}", self.names)
    }

    fn table(&mut self) -> (String, Vec<String>) {
        let tables: Vec<_> = self.world.relations.iter().filter(|one| one.view.is_none()).collect();
        let table = self.dice.one(&tables);
        (table.name.clone(), table.columns.clone())
    }

    /// A column of the sources, innermost last; with the source's name or without.
    fn column(&mut self, scopes: &[Vec<Source>]) -> String {
        let filled: Vec<_> = scopes.iter().filter(|one| !one.is_empty()).collect();
        let Some(last) = filled.last() else { return "1".into() };
        let scope = if self.dice.rarely(4) { *self.dice.one(&filled) } else { *last };
        let source = self.dice.one(scope).clone();
        if source.columns.is_empty() {
            return "1".into();
        }
        let column = self.dice.one(&source.columns).clone();
        let unique = scope.iter().filter(|one| one.columns.contains(&column)).count() == 1;
        match self.dice.below(8) {
            0..=3 if unique => column,
            4 if source.row => format!("({}).{column}", source.alias),
            _ => format!("{}.{column}", source.alias),
        }
    }

    fn expr(&mut self, scopes: &[Vec<Source>], depth: usize) -> String {
        let row = scopes.last().and_then(|scope| scope.iter().find(|one| one.row)).cloned();
        match self.dice.below(if depth == 0 { 4 } else { 16 }) {
            0..=4 => self.column(scopes),
            5 => self.dice.below(100).to_string(),
            6 => format!("{} + {}", self.expr(scopes, 0), self.expr(scopes, 0)),
            7 => format!("coalesce({}, {})", self.expr(scopes, depth - 1), self.expr(scopes, 0)),
            8 => format!(
                "CASE WHEN {} THEN {} ELSE {} END",
                self.condition(scopes, depth - 1),
                self.expr(scopes, 0),
                self.expr(scopes, 0)
            ),
            9 => {
                let (query, _) = self.one_column(depth - 1, scopes);
                format!("({query} LIMIT 1)")
            }
            10 => match row {
                Some(row) if self.dice.rarely(3) => {
                    format!("(to_jsonb({}) ->> 'id')::int", row.alias)
                }
                _ => format!("{}::text::int", self.column(scopes)),
            },
            11 => {
                let inner = self.expr(scopes, 0);
                format!("(ARRAY[{inner}, {}])[1]", self.column(scopes))
            }
            12 => format!("greatest({}, {})", self.column(scopes), self.column(scopes)),
            _ => self.column(scopes),
        }
    }

    fn condition(&mut self, scopes: &[Vec<Source>], depth: usize) -> String {
        match self.dice.below(if depth == 0 { 3 } else { 9 }) {
            0 | 1 => format!("{} = {}", self.expr(scopes, 0), self.expr(scopes, 0)),
            2 => format!("{} IS NOT NULL", self.column(scopes)),
            3 => {
                let (query, _) = self.query(depth - 1, scopes);
                format!("EXISTS ({query})")
            }
            4 => {
                let (query, _) = self.one_column(depth - 1, scopes);
                format!("{} IN ({query})", self.expr(scopes, 0))
            }
            5 => format!(
                "{} OR NOT {}",
                self.condition(scopes, depth - 1),
                self.condition(scopes, 0)
            ),
            6 => {
                let row = scopes.last().and_then(|scope| scope.iter().find(|one| one.row));
                match row.map(|one| one.alias.clone()) {
                    Some(alias) if self.dice.rarely(3) => format!("({alias}.*) IS NOT NULL"),
                    Some(alias) if self.dice.rarely(3) => format!("{alias} IS NOT NULL"),
                    _ => format!("{} BETWEEN 1 AND {}", self.column(scopes), self.column(scopes)),
                }
            }
            _ => format!(
                "({}, {}) > (1, {})",
                self.column(scopes),
                self.column(scopes),
                self.column(scopes)
            ),
        }
    }

    /// A source of a FROM: a table, a view, a query with a name, a query in place, a function.
    fn source(&mut self, depth: usize, scopes: &[Vec<Source>]) -> (String, Source) {
        let alias = self.fresh();
        match self.dice.below(if depth == 0 { 6 } else { 10 }) {
            6 | 7 => {
                let lateral = self.dice.rarely(3);
                let seen: &[Vec<Source>] =
                    if lateral { scopes } else { &scopes[..scopes.len().saturating_sub(1)] };
                let (query, columns) = self.query(depth - 1, seen);
                let word = if lateral { "LATERAL " } else { "" };
                (format!("{word}({query}) {alias}"), Source { alias, columns, row: true })
            }
            8 if self.dice.rarely(2) => {
                let text = format!("generate_series(1, {}) {alias}", self.column(scopes));
                (text, Source { columns: vec![alias.clone()], alias, row: false })
            }
            8 => {
                let column = (*self.dice.one(&COLUMNS)).to_owned();
                let text = format!("jsonb_to_record('{{}}') AS {alias}({column} int)");
                (text, Source { alias, columns: vec![column], row: true })
            }
            9 if !self.ctes.is_empty() => {
                let ctes = self.ctes.clone();
                let (name, columns) = self.dice.one(&ctes).clone();
                (format!("{name} {alias}"), Source { alias, columns, row: true })
            }
            _ => self.relation(alias),
        }
    }

    fn relation(&mut self, alias: String) -> (String, Source) {
        let world = self.world;
        let relation = self.dice.one(&world.relations);
        let (name, mut columns) = (relation.name.clone(), relation.columns.clone());
        let name = match self.dice.below(8) {
            0 => format!("public.{name}"),
            1 if relation.view.is_none() => format!("ONLY {name}"),
            _ => name,
        };
        if self.dice.rarely(3) && !self.ctes.iter().any(|(cte, _)| *cte == relation.name) {
            return (name, Source { alias: relation.name.clone(), columns, row: true });
        }
        if self.dice.rarely(10) {
            let some = 1 + self.dice.below(columns.len());
            let renamed: Vec<_> = (0..some).map(|at| format!("r{at}")).collect();
            columns.splice(..some, renamed.iter().cloned());
            let text = format!("{name} AS {alias}({})", renamed.join(", "));
            return (text, Source { alias, columns, row: true });
        }
        (format!("{name} AS {alias}"), Source { alias, columns, row: true })
    }

    fn from(&mut self, depth: usize, outer: &[Vec<Source>]) -> (String, Vec<Source>) {
        let mut scopes = outer.to_vec();
        scopes.push(Vec::new());
        let (mut text, first) = self.source(depth, &scopes);
        let last = scopes.len() - 1;
        scopes[last].push(first);
        for _ in 0..self.dice.below(3) {
            let (right, source) = self.source(depth, &scopes);
            let common: Vec<_> = {
                let left: Vec<_> = scopes[last].iter().flat_map(|one| &one.columns).collect();
                let once = |name: &&String| left.iter().filter(|one| *one == name).count() == 1;
                source.columns.iter().filter(once).cloned().collect()
            };
            let natural = self.dice.rarely(8);
            match self.dice.below(4) {
                0 => {
                    text = format!("{text}, {right}");
                    scopes[last].push(source);
                }
                1 if natural => {
                    text = format!("{text} NATURAL JOIN {right}");
                    scopes[last].push(source);
                }
                1 if !common.is_empty() => {
                    let column = self.dice.one(&common).clone();
                    text = format!("{text} LEFT JOIN {right} USING ({column})");
                    scopes[last].push(source);
                }
                _ => {
                    scopes[last].push(source);
                    let condition = self.condition(&scopes, 0);
                    text = format!("{text} JOIN {right} ON {condition}");
                }
            }
        }
        (text, scopes.pop().unwrap_or_default())
    }

    pub fn simple_select(&mut self, outer: &[Vec<Source>]) -> (String, Vec<String>) {
        let (from, sources) = self.from(0, outer);
        let scopes = [outer, &[sources]].concat();
        let width = 1 + self.dice.below(3);
        let items: Vec<_> = (0..width).map(|_| self.expr(&scopes, 0)).collect();
        let names: Vec<_> = (0..width).map(|at| format!("w{at}")).collect();
        let filter = self.condition(&scopes, 0);
        (format!("SELECT {} FROM {from} WHERE {filter}", items.join(", ")), names)
    }

    fn one_column(&mut self, depth: usize, outer: &[Vec<Source>]) -> (String, Vec<String>) {
        let (from, sources) = self.from(depth, outer);
        let scopes = [outer, &[sources]].concat();
        let (item, filter) = (self.expr(&scopes, depth), self.condition(&scopes, depth));
        (format!("SELECT {item} FROM {from} WHERE {filter}"), vec!["o".into()])
    }

    /// A query and the names of its columns.
    fn query(&mut self, depth: usize, outer: &[Vec<Source>]) -> (String, Vec<String>) {
        let before = self.ctes.clone();
        let with =
            if depth > 0 && self.dice.rarely(4) { self.with(depth, outer) } else { String::new() };
        let (body, names) = match self.dice.below(10) {
            0 if depth > 0 => self.union(outer),
            1 => self.grouped(depth, outer),
            _ => self.select(depth, outer),
        };
        self.ctes = before;
        (format!("{with}{body}"), names)
    }

    fn with(&mut self, depth: usize, outer: &[Vec<Source>]) -> String {
        let mut parts = Vec::new();
        let recursive = self.dice.rarely(5);
        for _ in 0..=self.dice.below(2) {
            // A name that hides a table, now and then.
            let name = match self.dice.below(3) {
                0 => (*self.dice.one(&TABLES)).to_owned(),
                _ => self.fresh(),
            };
            if recursive {
                let (start, columns) = self.simple_select(outer);
                let list = columns.join(", ");
                parts.push(format!(
                    "{name} ({list}) AS ({start} UNION ALL SELECT * FROM {name} WHERE {} > 5)",
                    columns[0]
                ));
                self.ctes.push((name, columns));
                continue;
            }
            let (query, columns) = match self.dice.below(8) {
                0 => (self.delete_returning(), Vec::new()),
                _ => self.query(depth - 1, outer),
            };
            parts.push(format!("{name} AS ({query})"));
            self.ctes.push((name, columns));
        }
        format!("WITH {}{} ", if recursive { "RECURSIVE " } else { "" }, parts.join(", "))
    }

    fn union(&mut self, outer: &[Vec<Source>]) -> (String, Vec<String>) {
        let (left, _) = self.one_column(0, outer);
        let (right, _) = self.one_column(0, outer);
        let order = if self.dice.rarely(3) { " ORDER BY 1" } else { "" };
        let all = if self.dice.rarely(2) { "UNION ALL" } else { "EXCEPT" };
        (format!("{left} {all} {right}{order}"), vec!["u".into()])
    }

    fn grouped(&mut self, depth: usize, outer: &[Vec<Source>]) -> (String, Vec<String>) {
        let (from, sources) = self.from(depth, outer);
        let scopes = [outer, &[sources]].concat();
        let (key, counted) = (self.column(&scopes), self.expr(&scopes, 0));
        let alias = (*self.dice.one(&COLUMNS)).to_owned();
        let by = if self.dice.rarely(3) { alias.clone() } else { key.clone() };
        let having = if self.dice.rarely(3) {
            format!(" HAVING sum({}) > 3", self.column(&scopes))
        } else {
            String::new()
        };
        let filter = if self.dice.rarely(3) {
            format!(" FILTER (WHERE {})", self.condition(&scopes, 0))
        } else {
            String::new()
        };
        let names = vec![alias.clone(), "n".into()];
        let text = format!(
            "SELECT {key} AS {alias}, count({counted}){filter} AS n FROM {from} GROUP BY {by}{having}"
        );
        (text, names)
    }

    fn select(&mut self, depth: usize, outer: &[Vec<Source>]) -> (String, Vec<String>) {
        let (from, sources) = self.from(depth, outer);
        let mut scopes = outer.to_vec();
        scopes.push(sources.clone());
        let (mut items, mut names) = (Vec::new(), Vec::new());
        for at in 0..=self.dice.below(3) {
            match self.dice.below(12) {
                0 => {
                    items.push("*".to_owned());
                    names.extend(sources.iter().flat_map(|one| one.columns.clone()));
                }
                1 => {
                    let source = self.dice.one(&sources);
                    items.push(format!("{}.*", source.alias));
                    names.extend(source.columns.clone());
                }
                2 => {
                    let source = self.dice.one(&sources).clone();
                    let whole = if source.row { source.alias } else { "1".into() };
                    items.push(format!("{whole} AS w{at}"));
                }
                3 => {
                    items.push(format!(
                        "row_number() OVER (PARTITION BY {} ORDER BY {}) AS n{at}",
                        self.column(&scopes),
                        self.expr(&scopes, 0)
                    ));
                    names.push(format!("n{at}"));
                }
                4 => {
                    items.push("count(*) OVER () AS cnt".to_owned());
                    names.push("cnt".into());
                }
                5 => {
                    let alias = (*self.dice.one(&COLUMNS)).to_owned();
                    items.push(format!("{} AS {alias}", self.expr(&scopes, depth)));
                    names.push(alias);
                }
                _ => {
                    items.push(format!("{} AS e{at}", self.expr(&scopes, depth)));
                    names.push(format!("e{at}"));
                }
            }
        }
        let mut text = format!("SELECT {} FROM {from}", items.join(", "));
        if self.dice.below(3) > 0 {
            text.push_str(&format!(" WHERE {}", self.condition(&scopes, depth)));
        }
        match self.dice.below(10) {
            0 => text.push_str(&format!(" ORDER BY {}", self.expr(&scopes, 0))),
            1 if !names.is_empty() => {
                text.push_str(&format!(" ORDER BY {} DESC", self.dice.one(&names)));
            }
            _ => {}
        }
        // A name that comes twice names nothing.
        let once: Vec<_> = names
            .iter()
            .filter(|name| names.iter().filter(|one| one == name).count() == 1)
            .cloned()
            .collect();
        (text, once)
    }

    fn returning(&mut self, scopes: &[Vec<Source>]) -> String {
        match self.dice.below(4) {
            0 => " RETURNING *".into(),
            1 => format!(" RETURNING {}", self.expr(scopes, 0)),
            2 => format!(" RETURNING {}.*", scopes[0][0].alias),
            _ => String::new(),
        }
    }

    fn insert(&mut self) -> String {
        let (table, columns) = self.table();
        let some: Vec<_> = columns.iter().filter(|_| self.dice.below(3) > 0).cloned().collect();
        let listed = !some.is_empty() && self.dice.below(6) > 0;
        let width = if listed { some.len() } else { columns.len() };
        let list = if listed { format!(" ({})", some.join(", ")) } else { String::new() };
        let source = if self.dice.rarely(3) {
            let (from, sources) = self.from(0, &[]);
            let scopes = [sources];
            let items: Vec<_> = (0..width).map(|_| self.expr(&scopes, 0)).collect();
            format!("SELECT {} FROM {from}", items.join(", "))
        } else {
            format!("VALUES ({})", vec!["1"; width].join(", "))
        };
        let own = vec![Source { alias: table.clone(), columns: columns.clone(), row: true }];
        let conflict = match self.dice.below(5) {
            0 => " ON CONFLICT DO NOTHING".to_owned(),
            1 => format!(
                " ON CONFLICT (id) DO UPDATE SET {} = excluded.{}",
                self.dice.one(&columns),
                self.dice.one(&columns)
            ),
            2 => format!(
                " ON CONFLICT (id) DO UPDATE SET {} = {table}.{} WHERE excluded.{} > 1",
                self.dice.one(&columns),
                self.dice.one(&columns),
                self.dice.one(&columns)
            ),
            _ => String::new(),
        };
        let returning = self.returning(&[own]);
        format!("INSERT INTO {table}{list} {source}{conflict}{returning}")
    }

    fn update(&mut self) -> String {
        let (table, columns) = self.table();
        let own = Source { alias: "t0".into(), columns: columns.clone(), row: true };
        let (from, mut sources) = if self.dice.rarely(2) {
            let (text, sources) = self.from(0, &[]);
            (format!(" FROM {text}"), sources)
        } else {
            (String::new(), Vec::new())
        };
        sources.insert(0, own);
        let scopes = [sources];
        let set = match self.dice.below(4) {
            0 => format!(
                "({}, {}) = ({}, 1)",
                columns[0],
                columns[columns.len() - 1],
                self.expr(&scopes, 0)
            ),
            _ => format!("{} = {}", self.dice.one(&columns), self.expr(&scopes, 1)),
        };
        let filter = self.condition(&scopes, 1);
        let returning = self.returning(&scopes);
        format!("UPDATE {table} t0 SET {set}{from} WHERE {filter}{returning}")
    }

    fn delete_returning(&mut self) -> String {
        let (table, columns) = self.table();
        let own = [vec![Source { alias: table.clone(), columns, row: true }]];
        let item = self.expr(&own, 0);
        format!("DELETE FROM {table} WHERE {} RETURNING {item} AS d", self.condition(&own, 0))
    }

    fn delete(&mut self) -> String {
        let (table, columns) = self.table();
        let own = Source { alias: "t0".into(), columns, row: true };
        let (using, mut sources) = if self.dice.rarely(2) {
            let (text, sources) = self.from(0, &[]);
            (format!(" USING {text}"), sources)
        } else {
            (String::new(), Vec::new())
        };
        sources.insert(0, own);
        let filter = self.condition(&[sources.clone()], 1);
        let returning = self.returning(&[sources]);
        format!("DELETE FROM {table} t0{using} WHERE {filter}{returning}")
    }

    fn merge(&mut self) -> String {
        let (table, columns) = self.table();
        let own = Source { alias: "t0".into(), columns: columns.clone(), row: true };
        let (right, source) = self.source(0, &[Vec::new()]);
        let scopes = [vec![own, source.clone()]];
        let on = self.condition(&scopes, 0);
        let matched = match self.dice.below(3) {
            0 => "DELETE".to_owned(),
            _ => format!("UPDATE SET {} = {}", self.dice.one(&columns), self.expr(&scopes, 0)),
        };
        let inserted = match self.dice.below(3) {
            0 => "DO NOTHING".to_owned(),
            1 => format!("INSERT (id) VALUES ({})", self.column(&[vec![source]])),
            _ => format!("INSERT VALUES ({})", vec!["1"; columns.len()].join(", ")),
        };
        let also = self.condition(&scopes, 0);
        format!(
            "MERGE INTO {table} t0 USING {right} ON {on} WHEN MATCHED AND {also} THEN {matched} \
             WHEN NOT MATCHED THEN {inserted}"
        )
    }
}
