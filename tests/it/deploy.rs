//! What is shipped for pipelines and clusters: held against published schemas, and its commands run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tiny_http::{Method, Response, Server};

use crate::published::complaints;
use crate::support::{Database, OPEN_GATE, Project, Ran, without};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder that end so, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|one| one == ending));
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

/// The documents of a YAML file.
fn documents(path: &Path) -> Vec<Value> {
    let program = "import json, sys, yaml\n\
                   print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1]))), default=str))";
    let output = Command::new("python3").args(["-c", program]).arg(path).output().expect("python3");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", path.display());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A command in a project, with the built program on its path.
pub fn with_zdmig(project: &Project, program: &str) -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_zdmig")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", format!("{}:{path}", built.display()))
        .env("HOME", project.path(""))
        .env("ZDMIG_DATABASE_URL", project.url())
        .current_dir(project.path(""));
    command
}

fn run(command: &mut Command) -> Ran {
    let line = format!("{command:?}");
    Ran::from(&line, command.output().expect("it starts"))
}

#[test]
fn what_is_shipped_is_what_the_schemas_say() {
    if without("python") {
        return;
    }
    let schema = |name: &str, file: &str| {
        complaints("check-jsonschema", &["--builtin-schema", name], &[root().join(file)])
    };
    assert_eq!(schema("vendor.github-actions", "action.yml"), "");
    assert_eq!(schema("vendor.gitlab-ci", "deploy/gitlab/zdmig.yml"), "");
    assert_eq!(schema("vendor.compose-spec", "docker-compose.yml"), "");
    let manifests = files("deploy/kubernetes", "yaml");
    assert_eq!(complaints("kubernetes-validate", &["--strict", "--quiet"], &manifests), "");
    let hooks = [root().join(".pre-commit-hooks.yaml")];
    assert_eq!(complaints("pre-commit", &["validate-manifest"], &hooks), "");
    let rules = "{extends: default, rules: {line-length: disable, document-start: disable, braces: disable}}";
    let all = ["action.yml", ".pre-commit-hooks.yaml", "docker-compose.yml", "deploy"];
    let all: Vec<_> = all.iter().map(|name| root().join(name)).collect();
    assert_eq!(complaints("yamllint", &["--strict", "-d", rules], &all), "");
    // They find what is wrong.
    let wrong = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    let text = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {templat: {}}\n";
    std::fs::write(wrong.path(), text).expect("written");
    let said = complaints("kubernetes-validate", &["--strict"], &[wrong.path().to_owned()]);
    assert!(said.contains("templat"), "{said}");
}

/// YAML in the docs is YAML, and what is for one of these programs is what it reads.
#[test]
fn what_the_docs_tell_to_write_is_what_the_schemas_say() {
    if without("python") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut count = 0;
    for page in files("docs", "md") {
        let text = std::fs::read_to_string(&page).expect("a page");
        let name = page.file_stem().expect("a name").to_string_lossy().into_owned();
        for (at, rest) in text.split("```yaml\n").skip(1).enumerate() {
            let block = rest.split("```").next().expect("an end");
            let file = folder.path().join(format!("{name}{at}.yml"));
            std::fs::write(&file, block).expect("written");
            documents(&file);
            let schema = match name.as_str() {
                "github" => "vendor.github-workflows",
                "gitlab" => "vendor.gitlab-ci",
                "docker" => "vendor.compose-spec",
                _ => continue,
            };
            let said = complaints("check-jsonschema", &["--builtin-schema", schema], &[file]);
            assert_eq!(said, "", "{name}");
            count += 1;
        }
    }
    assert!(count >= 4);
    // Inputs and outputs that the page lists are those that there are.
    let action = &documents(&root().join("action.yml"))[0];
    let text = std::fs::read_to_string(root().join("action.yml")).expect("a text");
    assert!(!text.contains("hashFiles("), "it sees no file of the action's");
    let page = std::fs::read_to_string(root().join("docs/github.md")).expect("a page");
    for kind in ["inputs", "outputs"] {
        for name in action[kind].as_object().expect("a table").keys() {
            assert!(page.contains(&format!("`{name}`")), "docs/github.md lacks {name}");
        }
    }
}

/// A renamed column, ready to be expanded.
async fn shop(name: &str) -> (Database, Project) {
    let database = Database::postgres(name).await;
    let rows = "CREATE TABLE users (id bigint PRIMARY KEY, username text); \
                INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 1000) g";
    database.script(rows).await;
    let project = Project::new(&database)
        .config(OPEN_GATE)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;");
    (database, project)
}

fn words(value: &Value) -> Vec<String> {
    let words = value.as_array().into_iter().flatten();
    words.map(|word| word.as_str().expect("a word").to_owned()).collect()
}

/// Every container of zdmig's in a manifest: its arguments.
fn containers(document: &Value) -> Vec<Vec<String>> {
    let spec = &document["spec"];
    let job = if spec["jobTemplate"].is_null() { spec } else { &spec["jobTemplate"]["spec"] };
    let pod = &job["template"]["spec"];
    let all = ["initContainers", "containers"].map(|kind| pod[kind].as_array().cloned());
    let all = all.into_iter().flatten().flatten();
    let image = |one: &Value| one["image"].as_str().is_some_and(|name| name.contains("migrations"));
    all.filter(image).map(|one| words(&one["args"])).collect()
}

/// The manifests' own arguments lead a migration from its beginning to its end, and a role that may
/// only read can wait.
#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_run_in_their_order() {
    if without("python") {
        return;
    }
    let (database, project) = shop("manifests").await;
    let mut found = Vec::new();
    for file in ["expand", "backfill", "app", "contract"] {
        let path = root().join(format!("deploy/kubernetes/{file}.yaml"));
        for document in documents(&path) {
            found.extend(containers(&document));
        }
    }
    let verbs: Vec<_> = found.iter().map(|one| one[0].as_str()).collect();
    assert_eq!(verbs, ["expand", "backfill", "wait", "contract", "purge"]);
    let role = crate::support::unique("waits");
    for arguments in &found {
        let mut command = with_zdmig(&project, "zdmig");
        command.args(arguments.iter().map(|word| word.replace("9187", "0")));
        if arguments[0] == "wait" {
            let page = std::fs::read_to_string(root().join("docs/kubernetes.md")).expect("a page");
            let grants = page.split("```sql\n").nth(1).expect("grants").split("```").next();
            let grants = grants.expect("an end").replace("app", &role);
            database.script(&format!("CREATE ROLE {role} LOGIN; {grants}")).await;
            let url = project.url().replace("postgres@", &format!("{role}@"));
            command.env("ZDMIG_DATABASE_URL", url);
        }
        run(&mut command).done();
    }
    database.script(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    project.run("status").done().says(&["done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_run_in_their_order() {
    let (_database, project) = shop("services").await;
    project.run("expand --wait 60s").done();
    let mut verbs = Vec::new();
    for file in ["deploy/systemd/zdmig-backfill.service", "deploy/systemd/zdmig-contract.service"] {
        let text = std::fs::read_to_string(root().join(file)).expect("a unit");
        for line in text.lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
            let line = line.strip_prefix("/usr/local/bin/zdmig ").expect("where the page puts it");
            verbs.push(line.split(' ').next().expect("a verb").to_owned());
            project.run(line).done();
        }
    }
    assert_eq!(verbs, ["backfill", "contract", "purge", "status"]);
    project.run("status").done().says(&["done"]);
    if without("systemd") {
        return;
    }
    let units = tempfile::tempdir().expect("a folder");
    let mut paths = Vec::new();
    for path in files("deploy/systemd", "service").iter().chain(&files("deploy/systemd", "timer")) {
        let built = env!("CARGO_BIN_EXE_zdmig");
        let text = std::fs::read_to_string(path).expect("a unit");
        let to = units.path().join(path.file_name().expect("a name"));
        std::fs::write(&to, text.replace("/usr/local/bin/zdmig", built)).expect("written");
        paths.push(to);
    }
    let said = complaints("systemd-analyze", &["verify", "--man=no"], &paths);
    assert_eq!(said, "");
}

/// The scripts of the pipeline's jobs, in their order, with a shell such as the image has.
#[tokio::test(flavor = "multi_thread")]
async fn the_pipelines_jobs_run_in_their_order() {
    if without("python") {
        return;
    }
    let (_database, project) = shop("pipeline").await;
    let template = &documents(&root().join("deploy/gitlab/zdmig.yml"))[0];
    // What another job needs is there wherever that one is.
    for (name, job) in template.as_object().expect("a table") {
        for needed in job["needs"].as_array().into_iter().flatten() {
            let needed = &template[needed.as_str().expect("a name")];
            assert_eq!(job["rules"], needed["rules"], "{name}");
        }
    }
    let job = |name: &str| {
        let script = words(&template[format!("zdmig:{name}")]["script"]).join("\n");
        assert!(!script.is_empty(), "{name}");
        let url = project.url();
        let mut command = with_zdmig(&project, "sh");
        let variables = template["variables"].as_object().expect("a table");
        for (name, value) in variables {
            command.env(name, value.as_str().expect("a text"));
        }
        run(command.env("ZDMIG_PLAN_DATABASE_URL", url).args(["-e", "-c", &script]))
    };
    job("check").done();
    let report = std::fs::read_to_string(project.path("gl-code-quality-report.json"));
    serde_json::from_str::<Value>(&report.expect("a report")).expect("JSON");
    assert!(project.path("zdmig.junit.xml").exists());
    job("plan").done();
    let page = std::fs::read_to_string(project.path("plan.html")).expect("a page");
    assert!(page.contains("1_rename"));
    for name in ["expand", "backfill"] {
        job(name).done();
    }
    // A gate that refuses is no failure, and one who forgot is.
    project.write("zdmig.toml", "");
    let ran = job("contract").done();
    ran.says(&["1_rename", "only tried", "nothing to purge"]);
    let database_url = project.url().to_owned();
    let mut client = crate::support::attach(&database_url, "test").await.client;
    let older = "UPDATE zdmig.journal SET at = at - interval '15 days'";
    client.script(older).await.expect("older");
    job("contract").exits(20).says(&["has been open for 15 days"]);
    project.write("zdmig.toml", OPEN_GATE);
    job("contract").done();
    project.run("status").done().says(&["done"]);
    // A refused plan fails the job after its report was written.
    project.write("migrations/2_bad.sql", "DROP SCHEMA public;");
    std::fs::remove_file(project.path("gl-code-quality-report.json")).expect("gone");
    job("check").exits(10);
    assert!(project.path("gl-code-quality-report.json").exists());
}

/// GitHub's side of it: comments on pull request 7, by their numbers.
#[derive(Default)]
struct Forge {
    comments: Vec<(u64, String)>,
    /// What came, as `POST /repos/…`.
    requests: Vec<String>,
    refuses: bool,
}

fn forge() -> (String, Arc<Mutex<Forge>>) {
    let server = Server::http("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", server.server_addr().to_ip().expect("an address"));
    let forge = Arc::new(Mutex::new(Forge::default()));
    let kept = Arc::clone(&forge);
    std::thread::spawn(move || {
        for mut request in server.incoming_requests() {
            let mut text = String::new();
            request.as_reader().read_to_string(&mut text).expect("a body");
            let mut forge = kept.lock().expect("whole");
            forge.requests.push(format!("{} {}", request.method(), request.url()));
            let authorized = request.headers().iter().any(|one| {
                one.field.equiv("Authorization") && one.value.as_str() == "Bearer secret-token"
            });
            let body: Value = serde_json::from_str(&text).unwrap_or_default();
            let body = body["body"].as_str().unwrap_or_default().to_owned();
            let (method, url) = (request.method().clone(), request.url().to_owned());
            let answer = forge.answer(&method, &url, body);
            let code = if forge.refuses || !authorized { 403 } else { 200 };
            drop(forge);
            let response = Response::from_string(answer.to_string()).with_status_code(code);
            let _ = request.respond(response);
        }
    });
    (address, forge)
}

impl Forge {
    fn answer(&mut self, method: &Method, url: &str, body: String) -> Value {
        if self.refuses {
            return json!({"message": "Resource not accessible by integration"});
        }
        let base = "/repos/acme/shop/issues";
        if *method == Method::Get {
            assert!(url.starts_with(&format!("{base}/7/comments?per_page=100&page=")), "{url}");
            let page: usize = url.rsplit('=').next().expect("a page").parse().expect("a number");
            let all = self.comments.iter().skip((page - 1) * 100).take(100);
            return all.map(|(id, body)| json!({"id": id, "body": body})).collect();
        }
        if *method == Method::Post {
            assert_eq!(url, format!("{base}/7/comments"));
            let id = 1_000 + self.comments.len() as u64;
            self.comments.push((id, body));
        } else {
            let id = url.strip_prefix(&format!("{base}/comments/")).expect("a comment");
            let id: u64 = id.parse().expect("a number");
            let one = self.comments.iter_mut().find(|one| one.0 == id).expect("it is there");
            one.1 = body;
        }
        json!({})
    }
}

/// What the action left behind.
struct Acted {
    ran: Ran,
    summary: String,
    outputs: String,
}

/// Runs the action's last step as a runner does, with an event of a pull request.
fn act(project: &Project, api: &str, inputs: &[(&str, &str)]) -> Acted {
    let action = &documents(&root().join("action.yml"))[0];
    let step = action["runs"]["steps"].as_array().expect("steps").last().expect("one").clone();
    for name in ["summary", "outputs"] {
        project.write(name, "");
    }
    project.write("event.json", r#"{"pull_request": {"number": 7}}"#);
    let mut command = with_zdmig(project, "bash");
    for (name, value) in step["env"].as_object().expect("a table") {
        let value = value.as_str().expect("an expression");
        let input = value.trim_start_matches("${{ inputs.").trim_end_matches(" }}");
        let given = inputs.iter().find(|(name, _)| *name == input).map(|(_, value)| *value);
        let value = match (given, value.contains("github.action_path")) {
            (_, true) => root().display().to_string(),
            (Some(given), _) => given.to_owned(),
            (None, _) if input == "token" => "secret-token".to_owned(),
            (None, _) => action["inputs"][input]["default"].as_str().expect("a default").to_owned(),
        };
        command.env(name, value);
    }
    command
        .env_remove("ZDMIG_DATABASE_URL")
        .env("GITHUB_API_URL", api)
        .env("GITHUB_REPOSITORY", "acme/shop")
        .env("GITHUB_EVENT_PATH", project.path("event.json"))
        .env("GITHUB_STEP_SUMMARY", project.path("summary"))
        .env("GITHUB_OUTPUT", project.path("outputs"))
        .env("RUNNER_TEMP", project.path(""))
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c"])
        .arg(step["run"].as_str().expect("a script"));
    let read = |name: &str| std::fs::read_to_string(project.path(name)).expect("a text");
    let ran = run(&mut command);
    let shown = format!("{}{}", ran.out, ran.err);
    assert!(!shown.contains("secret-token"), "{shown}");
    Acted { ran, summary: read("summary"), outputs: read("outputs") }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_action_checks_plans_and_writes_one_comment() {
    if without("python") {
        return;
    }
    let (_database, project) = shop("action").await;
    let (api, forge) = forge();
    // Others have commented before, on more than one page.
    for number in 0..150 {
        forge.lock().expect("whole").comments.push((number, format!("comment {number}")));
    }
    let acted = act(&project, &api, &[]);
    acted.ran.done();
    assert!(acted.outputs.starts_with("exit-code=0\nreports="), "{}", acted.outputs);
    let ours = |mark: &str| {
        let forge = forge.lock().expect("whole");
        let found = forge.comments.iter().filter(|(_, body)| body.starts_with(mark));
        found.map(|(_, body)| body.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ours("<!-- zdmig:check:migrations -->").len(), 1);
    assert!(acted.summary.starts_with("<!-- zdmig:check -->"));
    // A finding is shown beside its line, and fails the job after everything was written.
    project.write("migrations/2_bad.sql", "SELECT 1;\nDROP SCHEMA public;\n");
    let acted = act(&project, &api, &[]);
    acted.ran.exits(10).says(&["::error file=migrations/2_bad.sql,line=2"]);
    assert!(acted.outputs.starts_with("exit-code=10\n"));
    let comments = ours("<!-- zdmig:check:migrations -->");
    assert!(comments.len() == 1 && comments[0].contains("2_bad.sql"), "{comments:?}");
    let reports = acted.outputs.lines().find_map(|line| line.strip_prefix("reports="));
    let sarif = Path::new(reports.expect("a folder")).join("zdmig.sarif");
    assert!(std::fs::read_to_string(sarif).expect("SARIF").contains("2_bad.sql"));
    std::fs::remove_file(project.path("migrations/2_bad.sql")).expect("gone");
    // The plan is a comment of its own.
    let url = project.url().to_owned();
    let plan = [("command", "plan"), ("database-url", url.as_str())];
    act(&project, &api, &plan).ran.done().says(&["1_rename"]);
    act(&project, &api, &plan).ran.done();
    assert_eq!(ours("<!-- zdmig:plan:migrations -->").len(), 1);
    assert_eq!(ours("<!-- zdmig:check:migrations -->").len(), 1);
    // One that could not even begin says so, and writes over nobody else.
    let away = [("command", "plan"), ("database-url", "postgres://nobody@127.0.0.1:1/none")];
    let acted = act(&project, &api, &away);
    acted.ran.exits(3);
    assert!(acted.outputs.starts_with("exit-code=3\nreports="), "{}", acted.outputs);
    let said = ours("<!-- zdmig:plan:migrations -->");
    assert!(said.len() == 1 && said[0].contains("could not run and ended with 3"), "{said:?}");
    assert_eq!(ours("comment ").len(), 150);
    // A long one is cut, where a letter ends.
    let long: Vec<_> = (0..500)
        .map(|n| format!("-- ✗ é {n}\nDROP SCHEMA \"s{n} {}\";\n", "ü".repeat(25)))
        .collect();
    project.write("migrations/3_long.sql", &long.concat());
    let acted = act(&project, &api, &[]);
    acted.ran.exits(10);
    assert!(acted.outputs.starts_with("exit-code=10\n"));
    let cut = ours("<!-- zdmig:check:migrations -->");
    assert!(cut[0].chars().count() < 65_536 && cut[0].contains("Cut here"), "{}", cut[0].len());
    assert!(acted.summary.len() > 65_536);
    std::fs::remove_file(project.path("migrations/3_long.sql")).expect("gone");
    // No comment is asked for, or may be written.
    let before = forge.lock().expect("whole").requests.len();
    act(&project, &api, &[("comment", "false")]).ran.done();
    assert_eq!(forge.lock().expect("whole").requests.len(), before);
    forge.lock().expect("whole").refuses = true;
    let acted = act(&project, &api, &[]);
    acted.ran.done().says(&["::notice title=zdmig::", "from a fork"]);
    assert!(acted.summary.starts_with("<!-- zdmig:check -->"));
    // Words of a shell are no words of a shell.
    let hostile = [("command", "check $(touch hacked) `touch hacked` ; touch hacked")];
    act(&project, &api, &hostile).ran.exits(2);
    assert!(!project.path("hacked").exists());
}

/// The build that is kept is that of the very files.
#[test]
fn the_actions_key_is_of_its_files() {
    if without("python") {
        return;
    }
    let action = &documents(&root().join("action.yml"))[0];
    let step = action["runs"]["steps"][0].clone();
    let source = Project::at("sqlite://none.db");
    for (folder, file) in [("src", "main.rs"), ("migrations", "1_a.sql")] {
        std::fs::create_dir_all(source.path(folder)).expect("a folder");
        source.write(&format!("{folder}/{file}"), "one");
    }
    source.write("Cargo.toml", "");
    source.write("Cargo.lock", "");
    let key = || {
        source.write("outputs", "");
        let script = step["run"].as_str().expect("a script");
        let mut command = Command::new("bash");
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("ACTION_PATH", source.path(""))
            .env("GITHUB_OUTPUT", source.path("outputs"))
            .env("RUNNER_OS", "Linux")
            .env("RUNNER_ARCH", "X64")
            .args(["-eo", "pipefail", "-c", script]);
        run(&mut command).done();
        std::fs::read_to_string(source.path("outputs")).expect("outputs")
    };
    let first = key();
    assert!(first.starts_with("key=zdmig-Linux-X64-own-") && first == key(), "{first}");
    source.write("src/main.rs", "two");
    assert_ne!(key(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_action_runs_every_phase() {
    if without("python") {
        return;
    }
    let (_database, project) = shop("action_phases").await;
    let url = project.url().to_owned();
    for command in ["expand --wait 5m --lock-wait-max 8m", "backfill", "contract --try", "status"] {
        let inputs = [("command", command), ("database-url", url.as_str())];
        let acted = act(&project, "http://127.0.0.1:9", &inputs);
        assert!(
            acted.summary.contains(&format!("### zdmig {}", &command[..6])),
            "{}",
            acted.summary
        );
        acted.ran.done();
    }
    project.run("status").done().says(&["done"]);
    // Where it does not pass, the answer is in the summary and the code in the outputs.
    project.write("migrations/2_drop.sql", "ALTER TABLE users DROP COLUMN email;");
    for verb in ["expand", "backfill"] {
        project.run(verb).done();
    }
    project.write("zdmig.toml", "");
    let acted = act(&project, "", &[("command", "contract"), ("database-url", url.as_str())]);
    let code = acted.ran.code.expect("a code");
    assert!([11, 12].contains(&code), "{}", acted.ran.out);
    assert!(acted.outputs.starts_with(&format!("exit-code={code}\n")));
    assert!(acted.summary.contains("2_drop"), "{}", acted.summary);
}

/// pre-commit itself runs the hook on what is to be committed.
#[test]
fn pre_commit_runs_the_hook() {
    if without("python") {
        return;
    }
    let project = Project::at("sqlite://none.db")
        .migration("1_a", "CREATE TABLE a (id integer PRIMARY KEY, b text);")
        .migration("2_b", "ALTER TABLE a RENAME COLUMN b TO c;");
    let git = |arguments: &[&str]| {
        let mut command = with_zdmig(&project, "git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments);
        run(&mut command)
    };
    git(&["init", "-q", "."]).done();
    git(&["add", "."]).done();
    // A repository with the hooks of this one.
    std::fs::create_dir(project.path("hooks")).expect("a folder");
    let hooks = std::fs::read_to_string(root().join(".pre-commit-hooks.yaml")).expect("hooks");
    project.write("hooks/.pre-commit-hooks.yaml", &hooks);
    let hooks = project.path("hooks").display().to_string();
    for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "hooks"]] {
        git(&[&["-C", hooks.as_str()], arguments].concat()).done();
    }
    let hook = || {
        let mut command = with_zdmig(&project, "pre-commit");
        run(command.args(["try-repo", &hooks, "zdmig-check-system", "--files"]).args([
            "migrations/1_a.sql",
            "migrations/2_b.sql",
            "zdmig.toml",
        ]))
    };
    hook().done().says(&["zdmig check", "Passed"]);
    project.write("migrations/2_b.sql", "DROP SCHEMA public;");
    hook().exits(1).says(&["Failed", "exit code: 10", "migrations/2_b.sql"]);
}
