//! How what is made and told by more than its name is dropped again: aggregates, operators,
//! casts, and what belongs to a method, a language or a server.

use squawk_syntax::SyntaxNode;
use squawk_syntax::ast::{self, AstNode};

use super::quote;
use super::undo::run;
use super::words::{Walk, Words};
use crate::plan::Undo;
use crate::sql::Sql;

/// The undo of such a statement; `None` of any other.
pub(super) fn by_more_than_a_name(tree: &ast::Stmt, sql: &str) -> Option<Undo> {
    let of = |node: &SyntaxNode| node.text().to_string().trim().to_owned();
    match tree {
        ast::Stmt::CreateAggregate(one) => {
            let name = of(one.aggregate_name()?.syntax());
            // The form without a list of its own names its one argument among the options.
            let list = one.param_list().map(|list| of(list.syntax()));
            let drop = list.filter(|_| one.or_replace().is_none());
            Some(drop.map_or(Undo::Impossible, |list| {
                run(format!("DROP AGGREGATE IF EXISTS {name}{list}"))
            }))
        }
        ast::Stmt::CreateOperator(one) => {
            let list = one.attribute_list()?;
            let start: usize = one.operator_token()?.text_range().end().into();
            let end: usize = list.syntax().text_range().start().into();
            let name = sql[start..end].trim();
            let argument = |wanted: &str| {
                let said = list.syntax().children().map(|one| of(&one)).find_map(|option| {
                    let (word, value) = option.split_once('=')?;
                    word.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
                });
                said.unwrap_or_else(|| "NONE".into())
            };
            let (left, right) = (argument("leftarg"), argument("rightarg"));
            Some(run(format!("DROP OPERATOR IF EXISTS {name} ({left}, {right})")))
        }
        ast::Stmt::CreateOperatorClass(one) => {
            let (name, using) =
                (of(one.op_class_name()?.syntax()), of(one.using_method()?.syntax()));
            let class = format!("DROP OPERATOR CLASS IF EXISTS {name} {using}");
            if one.operator_family_clause().is_some() {
                return Some(run(class));
            }
            // A family of the same name was made with it, if there was none: one that holds
            // anything else stays.
            let words = Words::of(one.op_class_name()?.syntax());
            let family = Walk::along(&words).name()?;
            let shown = quote::literal(family.name.as_str());
            let place = family.schema.as_ref().map_or_else(
                || "pg_opfamily_is_visible(f.oid)".to_owned(),
                |schema| format!("n.nspname = {}", quote::literal(schema.as_str())),
            );
            let body = format!(
                "BEGIN
                   IF EXISTS (SELECT FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace
                               WHERE f.opfname = {shown} AND {place}
                                 AND NOT EXISTS (SELECT FROM pg_opclass c WHERE c.opcfamily = f.oid)
                                 AND NOT EXISTS (SELECT FROM pg_amop o WHERE o.amopfamily = f.oid)) THEN
                     DROP OPERATOR FAMILY {name} {using};
                   END IF;
                 END"
            );
            let family = format!("DO {}", quote::dollar(&body));
            Some(Undo::Run(vec![Sql::new(class), Sql::new(family)]))
        }
        ast::Stmt::CreateOperatorFamily(one) => {
            let (name, using) =
                (of(one.op_family_name()?.syntax()), of(one.using_method()?.syntax()));
            Some(run(format!("DROP OPERATOR FAMILY IF EXISTS {name} {using}")))
        }
        ast::Stmt::CreateCast(one) => {
            Some(run(format!("DROP CAST IF EXISTS {}", of(one.cast_sig()?.syntax()))))
        }
        ast::Stmt::CreateTransform(one) if one.or_replace().is_none() => {
            let (ty, language) = (of(one.ty()?.syntax()), of(one.language_ref()?.syntax()));
            Some(run(format!("DROP TRANSFORM IF EXISTS FOR {ty} LANGUAGE {language}")))
        }
        ast::Stmt::CreateUserMapping(one) if one.if_not_exists().is_none() => {
            let (role, server) =
                (of(one.user_mapping_role()?.syntax()), of(one.server_clause()?.syntax()));
            Some(run(format!("DROP USER MAPPING IF EXISTS FOR {role} {server}")))
        }
        _ => None,
    }
}
