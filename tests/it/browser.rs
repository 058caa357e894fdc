//! Pages in a real browser: headless Chromium, driven through its WebDriver.
//!
//! `scripts/with-tools` installs both where it may. Who has none and wants none says so with
//! `ZDMIG_WITHOUT=browser`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Database, OPEN_GATE, Project, without};

/// A browser with one window.
struct Browser {
    driver: Child,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn open() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect(
                "chromedriver is installed (Debian: chromium-driver), or ZDMIG_WITHOUT=browser",
            );
        let out = BufReader::new(driver.stdout.take().expect("its output"));
        let port = out
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("successfully on port ")?;
                Some(port.trim_end_matches('.').to_owned())
            })
            .expect("it listens");
        let profile = tempfile::tempdir().expect("a folder");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let base = format!("http://127.0.0.1:{port}/session");
        let answer = post(&base, &wanted);
        let id = answer["sessionId"].as_str().expect("a session").to_owned();
        Self { driver, session: format!("{base}/{id}"), _profile: profile }
    }

    fn call(&self, command: &str, body: &Value) -> Value {
        post(&format!("{}/{command}", self.session), body)
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.call("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    fn ask(&self, script: &str) -> Value {
        self.call("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Shows a page of this width, by day or by night, on a screen or on paper.
    fn show(&self, page: &Path, width: u32, scheme: &str, medium: &str) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let media = json!({ "media": medium, "features": features });
        self.devtools("Emulation.setEmulatedMedia", &media);
        self.call("url", &json!({ "url": format!("file://{}", page.display()) }));
    }

    /// What the console was told.
    fn console(&self) -> Vec<Value> {
        let log = self.call("se/log", &json!({ "type": "browser" }));
        log.as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn post(url: &str, body: &Value) -> Value {
    let agent = ureq::Agent::new_with_config(
        ureq::config::Config::builder().http_status_as_error(false).build(),
    );
    let answer = agent
        .post(url)
        .content_type("application/json")
        .send(body.to_string())
        .and_then(|mut answer| answer.body_mut().read_to_string())
        .expect("the browser answers");
    let mut answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert!(answer["value"]["error"].is_null(), "{url}: {answer}");
    answer["value"].take()
}

/// Elements that stick out of the window, apart from those that scroll by themselves.
const STICKS_OUT: &str = "
    const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
    const out = [...document.querySelectorAll('body *')].filter(one =>
        !one.closest('.wide') && one.getBoundingClientRect().right > window.innerWidth + 1);
    return [wide, ...out.map(one => one.tagName + ' ' + one.textContent.slice(0, 60))];";

/// Text that is too pale for its ground, by the rule of WCAG 2.2 for small text: 4.5 to 1.
const PALE: &str = "
    const parse = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const light = ([r, g, b]) => { const c = [r, g, b].map(v => { v /= 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 });
        return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2] };
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const ground = one => {
        const layers = [];
        for (let at = one; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
        let base = dark ? [18, 18, 18] : [255, 255, 255];
        for (const [r, g, b, a = 1] of layers.reverse())
            base = base.map((v, i) => v * (1 - a) + [r, g, b][i] * a);
        return base };
    const texts = [...document.querySelectorAll('main *')].filter(one =>
        [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
    return texts.flatMap(one => {
        const [a, b] = [light(parse(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        return ratio < 4.5 ? [ratio.toFixed(2) + ' ' + one.tagName + ' ' + one.textContent.slice(0, 40)] : [] });";

/// What a reader who does not see the page would stumble over.
const STUMBLES: &str = "
    const found = [];
    if (document.documentElement.lang !== 'en') found.push('no language');
    if (!document.title) found.push('no title');
    if (document.querySelectorAll('h1').length !== 1) found.push('not one h1');
    let level = 0;
    for (const head of document.querySelectorAll('h1,h2,h3,h4,h5,h6')) {
        const its = Number(head.tagName[1]);
        if (its > level + 1) found.push(head.tagName + ' after h' + level);
        level = its;
    }
    for (const table of document.querySelectorAll('table'))
        if (!table.querySelector('th[scope]')) found.push('a table without headings');
    for (const link of document.querySelectorAll('a[href^=\"#\"]'))
        if (!document.getElementById(link.getAttribute('href').slice(1))) found.push('dead ' + link.href);
    const ids = [...document.querySelectorAll('[id]')].map(one => one.id);
    for (const id of ids) if (ids.filter(one => one === id).length > 1) found.push('twice ' + id);
    for (const box of document.querySelectorAll('.wide'))
        if (box.tabIndex !== 0 || !box.getAttribute('aria-labelledby')) found.push('a box that no key scrolls');
    return found;";

fn none(found: &Value) -> bool {
    found.as_array().is_some_and(Vec::is_empty)
}

/// Looks at a page in every width and colour, and on paper.
fn look(browser: &Browser, page: &Path, hidden: &[&str]) {
    let name = page.display();
    for scheme in ["light", "dark"] {
        for width in [360, 768, 1440] {
            browser.show(page, width, scheme, "screen");
            let out = browser.ask(STICKS_OUT);
            assert_eq!(out, json!([false]), "{name} at {width} px");
            let pale = browser.ask(PALE);
            assert!(none(&pale), "{name}, {scheme}: {pale}");
        }
    }
    let stumbles = browser.ask(STUMBLES);
    assert!(none(&stumbles), "{name}: {stumbles}");
    // The text is there as it was written, and nothing of it became part of the page.
    let text = browser.ask("return document.body.textContent").to_string();
    for word in hidden {
        let word = json!(word).to_string();
        assert!(text.contains(word.trim_matches('"')), "{name} lacks {word}");
    }
    let run = "return [typeof window.evil, document.scripts.length, document.images.length,
               document.querySelectorAll('b, iframe, [onerror], [onclick]').length]";
    assert_eq!(browser.ask(run), json!(["undefined", 0, 0, 0]), "{name}");
    // Nothing was fetched, and nothing was refused.
    let fetched = browser.ask("return performance.getEntriesByType('resource').length");
    assert_eq!(fetched, json!(0), "{name}");
    assert_eq!(browser.console(), Vec::<Value>::new(), "{name}");
    // The policy holds even for what would get into the page.
    browser.ask(
        "const one = document.createElement('script'); one.textContent = 'window.evil = 1';
         document.body.append(one);
         const two = document.createElement('img'); two.src = 'http://127.0.0.1:1/';
         two.setAttribute('onerror', 'window.evil = 2'); document.body.append(two)",
    );
    assert_eq!(browser.ask("return typeof window.evil"), json!("undefined"), "{name}");
    assert!(!browser.console().is_empty(), "{name}: the policy says what it refused");
    browser.show(page, 768, "light", "print");
    let closed = "return [...document.querySelectorAll('details')].filter(one =>
        one.lastElementChild.getBoundingClientRect().height === 0).length";
    assert_eq!(browser.ask(closed), json!(0), "{name}: everything is on paper");
}

/// A rehearsal, with names and errors that would be markup.
#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_is_a_page_that_everybody_can_read() {
    if without("browser") {
        return;
    }
    let database = Database::sqlite().await;
    let schema = format!("CREATE TABLE \"{EVIL}\" (id INTEGER PRIMARY KEY, a TEXT)");
    database.script(&schema).await;
    let migration = format!("ALTER TABLE \"{EVIL}\" RENAME COLUMN a TO b;");
    let project = Project::new(&database).migration("1_rename", &migration);
    project.write("<b>old.sql", &format!("SELECT a FROM \"{EVIL}\" WHERE id = 1;"));
    let failing = format!("INSERT INTO \"{EVIL}\" (id, a) VALUES (1, 'x') RETURNING a;");
    project.write("fails.sql", &failing);
    let said =
        "rehearse 1 --workload <b>old.sql --workload fails.sql --hold 300ms --rate 40 -o page.html";
    project.run(said).exits(10);
    look(
        &Browser::open(),
        &project.path("page.html"),
        &[EVIL, "<b>old.sql", "UNIQUE constraint failed"],
    );
}

const EVIL: &str = "<script>window.evil = 1</script>";

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_a_page_that_everybody_can_read() {
    if without("browser") {
        return;
    }
    let database = Database::postgres("browser").await;
    let schema = format!(
        "CREATE TABLE \"{EVIL}\" (id int PRIMARY KEY, \"it's <b>\" text NOT NULL UNIQUE, \"שם\" text);
         CREATE INDEX \"idx '`<i>\" ON \"{EVIL}\" (\"it's <b>\", \"שם\");
         INSERT INTO \"{EVIL}\" SELECT g, g, g FROM generate_series(1, 1000) g; ANALYZE;
         CREATE TABLE users (id int PRIMARY KEY, username text, age int, note text);"
    );
    database.script(&schema).await;
    let project = Project::new(&database)
        .migration(
            "1_names",
            &format!(
                "-- zdmig:allow unique-copy because \"</pre><img src=x onerror='window.evil=1'> \u{202e}desrever\"\n\
                 ALTER TABLE \"{EVIL}\" RENAME COLUMN \"it's <b>\" TO \"דואר & <b>\";"
            ),
        )
        .migration("2_wide", "ALTER TABLE users ALTER COLUMN age TYPE bigint;")
        .migration(
            "3_drop",
            "-- zdmig:expand\nINSERT INTO users VALUES (0, '</pre><img src=x onerror=\"window.evil = 1\">', 1, \
             'a_word_that_is_very_long_and_has_no_place_at_which_it_could_be_broken_by_anybody_who_looks_for_one');\n\
             -- zdmig:end\nALTER TABLE users DROP COLUMN note;",
        )
        .config(OPEN_GATE);
    let several = project.run("plan --format html").exits(0).out;
    project.write("several.html", &several);
    let one = project.run("plan 1_names --format html").exits(0).out;
    project.write("one.html", &one);
    for _ in 0..3 {
        project.run("expand").done();
    }
    let ran = project.run("gate 2_wide --format html");
    project.write("gate.html", &ran.out);
    let browser = Browser::open();
    let evil =
        [EVIL, "</pre><img src=x onerror=\"window.evil = 1\">", "\u{202e}desrever", "דואר & <b>"];
    look(&browser, &project.path("several.html"), &evil);
    look(&browser, &project.path("one.html"), &[EVIL, "idx '`<i>", "\u{202e}desrever"]);
    look(&browser, &project.path("gate.html"), &["2_wide"]);
}
