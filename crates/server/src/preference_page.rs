//! The pages behind a signed link, in French and English: unsubscribe, and the preference centre. Forms without a script; a policy
//! that lets nothing run and nothing load but the style written here and the brand's logo.

use std::fmt::Write as _;

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use jumelle_engine::{Definitions, LinkError, LinkScope};
use jumelle_model::Workspace;
use jumelle_model::consent::Channel;
use jumelle_model::workspace::Label;
use jumelle_model::workspace::preferences::{FREQUENCY_TRAIT, PAUSE_TRAIT, Preferences};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::links::Visit;
use crate::preference_form::questions;
use crate::preference_words::{Words, channel_name, channel_title};
use crate::proof_page::escape;

/// What was just done.
pub(crate) enum Said {
    Saved,
    Objected,
    Restricted,
    Asked,
    Erased,
    Corrected,
    NotConfirmed,
    NothingKnown,
    NotUnderstood(String),
}

/// Sage of the demonstration shop: where a workspace names no colour.
const COLOUR: &str = "#2b5d4f";

fn style(colour: &str) -> String {
    format!(
        "*{{box-sizing:border-box}}body{{font:16px/1.55 system-ui,sans-serif;color:#1b1f24;background:#fff;margin:0}}\
         header,main,footer{{max-width:42rem;margin:0 auto;padding:1rem 1.25rem}}header{{display:flex;gap:1rem;align-items:center;\
         justify-content:space-between;border-bottom:1px solid #d5d9de}}header img{{max-height:3rem;max-width:14rem}}\
         h1{{font-size:1.5rem;margin:1rem 0 .25rem}}h2{{font-size:1.125rem;margin:2rem 0 .5rem}}p{{margin:.4rem 0}}\
         fieldset{{border:1px solid #d5d9de;border-radius:.5rem;margin:.75rem 0;padding:.75rem 1rem}}legend{{font-weight:600;padding:0 .25rem}}\
         .row{{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;justify-content:space-between;align-items:center;padding:.35rem 0}}\
         .row fieldset{{border:0;margin:0;padding:0;display:flex;gap:1rem}}label{{display:inline-flex;gap:.4rem;align-items:center;min-height:2.75rem}}\
         input[type=radio],input[type=checkbox]{{width:1.25rem;height:1.25rem;accent-color:{colour}}}\
         select,input[type=text],input[type=date]{{font:inherit;padding:.5rem;border:1px solid #5c6570;border-radius:.35rem;min-height:2.75rem;max-width:100%}}\
         button{{font:inherit;font-weight:600;color:#fff;background:{colour};border:2px solid {colour};border-radius:.35rem;padding:.6rem 1.1rem;min-height:2.75rem;cursor:pointer}}\
         button.plain{{color:{colour};background:#fff}}button.grave{{color:#fff;background:#9b1c1c;border-color:#9b1c1c}}\
         :focus-visible{{outline:3px solid #1b1f24;outline-offset:2px}}a{{color:{colour}}}.said{{border-left:4px solid {colour};background:#f3f5f7;padding:.75rem 1rem;margin:1rem 0}}\
         .text{{color:#4a525c}}.actions{{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}}footer{{color:#4a525c;border-top:1px solid #d5d9de;margin-top:2rem;font-size:.9rem}}"
    )
}

/// A whole page: head, brand, and a policy that names its own style by its hash.
fn answer(preferences: &Preferences, key: &str, words: &Words, status: StatusCode, title: &str, main: &str) -> Response {
    let style = style(preferences.colour.as_deref().unwrap_or(COLOUR));
    let name = escape(preferences.name.as_deref().unwrap_or(key));
    let brand = match &preferences.logo {
        Some(logo) => format!("<img src=\"{}\" alt=\"{name}\">", escape(logo)),
        None => format!("<strong>{name}</strong>"),
    };
    let other = if words.lang == "fr" { ("en", "English") } else { ("fr", "Français") };
    let mut foot = String::new();
    if let Some(contact) = &preferences.contact {
        let _ = write!(foot, "<p>{} {}</p>", words.contact, escape(contact));
    }
    if let Some(notice) = &preferences.notice {
        let _ = write!(foot, "<p><a href=\"{}\" rel=\"noreferrer\">{}</a></p>", escape(notice), words.notice);
    }
    let page = format!(
        "<!doctype html><html lang=\"{lang}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title} · {name}</title><style>{style}</style></head><body>\
         <header>{brand}<a href=\"?lang={code}\" lang=\"{code}\" hreflang=\"{code}\">{tongue}</a></header><main>{main}</main><footer>{foot}</footer></body></html>",
        lang = words.lang,
        title = escape(title),
        code = other.0,
        tongue = other.1,
    );
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style.as_bytes()));
    let images = preferences.logo.as_deref().map_or("'none'", |logo| logo);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src {images}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::VARY, "accept-language".to_owned()),
        (header::CONTENT_LANGUAGE, words.lang.to_owned()),
        (HeaderName::from_static("x-robots-tag"), "noindex".to_owned()),
    ];
    (status, headers, page).into_response()
}

/// A link that opens nothing.
pub(crate) fn refused(preferences: &Preferences, key: &str, lang: &str, status: StatusCode, error: LinkError) -> Response {
    let words = Words::of(lang);
    let said = if error == LinkError::Expired { words.link_expired } else { words.link_invalid };
    let main = format!("<h1>{}</h1><p>{said}</p>", words.link_title);
    answer(preferences, key, words, status, words.link_title, &main)
}

/// `a•••@example.org`: enough to know one's own address, too little for who looks over a shoulder.
fn masked(value: &str) -> String {
    let (name, rest) = value.split_once('@').map_or((value, String::new()), |(name, host)| (name, format!("@{host}")));
    let shown: String = match rest.is_empty() {
        false => name.chars().take(1).collect(),
        // A telephone: its end is what people know it by.
        true => return format!("•••{}", name.chars().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect::<String>()),
    };
    format!("{shown}•••{rest}")
}

fn text<'a>(label: &'a Label, lang: &str, key: &'a str) -> &'a str {
    let (first, second) = if lang == "fr" { (&label.fr, &label.en) } else { (&label.en, &label.fr) };
    first.as_deref().or(second.as_deref()).unwrap_or(key)
}

/// One button; after it, that it is done.
pub(crate) fn unsubscribe(workspace: &Workspace, visit: &Visit, done: bool) -> Response {
    let words = Words::of(visit.lang);
    let key = visit.link.purpose.as_deref().unwrap_or_default();
    let purpose = workspace.purpose(key).map_or(key, |purpose| text(&purpose.terms.label, visit.lang, key));
    let channel = visit.link.channel.map_or(words.every_channel, |channel| channel_title(workspace, channel, visit.lang));
    let what = format!("<strong>{}</strong> ({})", escape(purpose), escape(channel));
    let address = escape(&masked(&visit.link.who.1));
    let main = match done {
        true => format!("<h1>{}</h1><p role=\"status\" class=\"said\">{} {what}, {address}.</p>", words.done, words.unsubscribed),
        false => format!(
            "<h1>{}</h1><p>{what}, {address}.</p><form method=\"post\"><input type=\"hidden\" name=\"confirm\" value=\"1\">\
             <div class=\"actions\"><button>{}</button></div></form>",
            words.unsubscribe_title, words.unsubscribe
        ),
    };
    answer(&workspace.preferences, &workspace.settings.key, words, StatusCode::OK, words.unsubscribe_title, &main)
}

/// The preference centre.
pub(crate) fn centre(definitions: &Definitions, visit: &Visit, status: StatusCode, said: Option<Said>) -> Response {
    let workspace = &definitions.workspace;
    let words = Words::of(visit.lang);
    let mut main =
        format!("<h1>{}</h1><p>{} <strong>{}</strong></p>", words.title, words.about, escape(&masked(&visit.link.who.1)));
    if let Some(said) = said {
        let (role, said) = match said {
            Said::Saved => ("status", words.saved.to_owned()),
            Said::Objected => ("status", words.objected.to_owned()),
            Said::Restricted => ("status", words.restricted.to_owned()),
            Said::Asked => ("status", words.asked.to_owned()),
            Said::Erased => ("status", words.erased.to_owned()),
            Said::Corrected => ("status", words.corrected.to_owned()),
            Said::NotConfirmed => ("alert", words.not_confirmed.to_owned()),
            Said::NothingKnown => ("status", words.nothing_known.to_owned()),
            Said::NotUnderstood(field) => ("alert", format!("{} {}", words.not_understood, escape(&field))),
        };
        let _ = write!(main, "<p role=\"{role}\" class=\"said\">{said}</p>");
    }
    main.push_str("<form method=\"post\"><input type=\"hidden\" name=\"do\" value=\"save\">");
    choices(&mut main, definitions, visit, words);
    rhythm(&mut main, workspace, visit, words);
    traits(&mut main, workspace, visit, words);
    let _ = write!(main, "<div class=\"actions\"><button>{}</button></div></form>", words.save);
    rights(&mut main, workspace, visit, words);
    answer(&workspace.preferences, &workspace.settings.key, words, status, words.title, &main)
}

fn choices(main: &mut String, definitions: &Definitions, visit: &Visit, words: &Words) {
    let questions = questions(definitions, visit);
    let _ = write!(main, "<h2>{}</h2>", words.choices);
    if questions.is_empty() {
        let _ = write!(main, "<p>{}</p>", words.no_choices);
    }
    let mut last: Option<&str> = None;
    for question in &questions {
        let key = question.purpose.key.as_str();
        if last != Some(key) {
            if last.is_some() {
                main.push_str("</fieldset>");
            }
            let _ = write!(main, "<fieldset><legend>{}</legend>", escape(text(&question.purpose.terms.label, visit.lang, key)));
            if let Some(shown) = question.purpose.text() {
                let _ = write!(main, "<p class=\"text\">{}</p>", escape(text(&shown.words, visit.lang, "")));
            }
            last = Some(key);
        }
        let (name, channel) =
            (escape(&question.name()), escape(channel_title(&definitions.workspace, question.channel, visit.lang)));
        let id = name.replace(':', "-");
        let checked = |is: bool| if question.answer == Some(is) { " checked" } else { "" };
        let _ = write!(
            main,
            "<div class=\"row\" role=\"radiogroup\" aria-labelledby=\"{id}\"><span id=\"{id}\">{channel}</span><span>\
             <label><input type=\"radio\" name=\"{name}\" value=\"yes\"{}>{}</label> <label><input type=\"radio\" name=\"{name}\" value=\"no\"{}>{}</label></span></div>",
            checked(true),
            words.yes,
            checked(false),
            words.no
        );
    }
    if last.is_some() {
        main.push_str("</fieldset>");
    }
}

fn held(visit: &Visit, key: &str) -> Value {
    let known = visit.person.as_ref().and_then(|person| person.known.traits.get(key));
    known.and_then(|known| serde_json::from_str(&known.json).ok()).unwrap_or(Value::Null)
}

fn rhythm(main: &mut String, workspace: &Workspace, visit: &Visit, words: &Words) {
    let until = held(visit, PAUSE_TRAIT);
    let until = until.as_str().unwrap_or_default();
    let _ = write!(
        main,
        "<h2>{}</h2><div class=\"row\"><label for=\"pause\">{}</label><input type=\"date\" id=\"pause\" name=\"{PAUSE_TRAIT}\" value=\"{}\"></div>",
        words.rhythm,
        words.pause,
        escape(until.get(..10).unwrap_or_default())
    );
    if workspace.preferences.frequencies.is_empty() {
        return;
    }
    let chosen = held(visit, FREQUENCY_TRAIT);
    let _ = write!(
        main,
        "<div class=\"row\"><label for=\"frequency\">{}</label><select id=\"frequency\" name=\"{FREQUENCY_TRAIT}\"><option value=\"\">{}</option>",
        words.frequency, words.as_usual
    );
    for frequency in &workspace.preferences.frequencies {
        let value = Preferences::frequency_text(*frequency);
        let selected = if chosen == value.as_str() { " selected" } else { "" };
        let days = frequency.within.0 / 86_400_000_000;
        let shown = words.at_most.replace("{max}", &frequency.max.to_string()).replace("{days}", &days.max(1).to_string());
        let _ = write!(main, "<option value=\"{}\"{selected}>{shown}</option>", escape(&value));
    }
    main.push_str("</select></div>");
}

fn traits(main: &mut String, workspace: &Workspace, visit: &Visit, words: &Words) {
    if workspace.preferences.fields.is_empty() {
        return;
    }
    let _ = write!(main, "<h2>{}</h2>", words.about_you);
    for field in &workspace.preferences.fields {
        let (name, id) = (escape(&format!("t:{}", field.key)), escape(&field.key));
        let label = escape(text(&field.label, visit.lang, &field.key));
        let value = held(visit, &field.key);
        let is_chosen =
            |option: &str| value == option || value.as_array().is_some_and(|list| list.iter().any(|item| item == option));
        if field.many {
            let _ = write!(main, "<fieldset><legend>{label}</legend><input type=\"hidden\" name=\"shown:{name}\" value=\"1\">");
            for (option, shown) in &field.options {
                let checked = if is_chosen(option) { " checked" } else { "" };
                let shown = escape(text(shown, visit.lang, option));
                let option = escape(option);
                let _ =
                    write!(main, "<label><input type=\"checkbox\" name=\"{name}\" value=\"{option}\"{checked}>{shown}</label> ");
            }
            main.push_str("</fieldset>");
        } else if field.options.is_empty() {
            let shown = escape(value.as_str().unwrap_or_default());
            let _ = write!(
                main,
                "<div class=\"row\"><label for=\"{id}\">{label}</label><input type=\"text\" id=\"{id}\" name=\"{name}\" value=\"{shown}\" maxlength=\"200\"></div>"
            );
        } else {
            let _ = write!(
                main,
                "<div class=\"row\"><label for=\"{id}\">{label}</label><select id=\"{id}\" name=\"{name}\"><option value=\"\">–</option>"
            );
            for (option, shown) in &field.options {
                let selected = if is_chosen(option) { " selected" } else { "" };
                let _ = write!(
                    main,
                    "<option value=\"{}\"{selected}>{}</option>",
                    escape(option),
                    escape(text(shown, visit.lang, option))
                );
            }
            main.push_str("</select></div>");
        }
    }
}

fn rights(main: &mut String, workspace: &Workspace, visit: &Visit, words: &Words) {
    let action = |what: &str| format!("<input type=\"hidden\" name=\"do\" value=\"{what}\">");
    let _ = write!(
        main,
        "<h2>{}</h2><p>{}</p><form method=\"post\">{}<div class=\"actions\"><button class=\"plain\">{}</button></div></form>",
        words.stop_title,
        words.stop_text,
        action("object"),
        words.stop
    );
    let is_direct = visit.link.scope == LinkScope::Rights;
    let _ =
        write!(main, "<h2>{}</h2><p>{}</p>", words.rights, if is_direct { words.rights_direct } else { words.rights_checked });
    let format = match is_direct {
        true => format!(
            "<label for=\"format\">{}</label> <select id=\"format\" name=\"format\"><option value=\"html\">{}</option><option value=\"json\">JSON</option><option value=\"csv\">CSV</option></select> ",
            words.format, words.document
        ),
        false => String::new(),
    };
    let _ = write!(
        main,
        "<form method=\"post\">{}<div class=\"actions\">{format}<button class=\"plain\">{}</button></div></form>",
        action("access"),
        words.access
    );
    // For a machine: no document to read.
    let format = match is_direct {
        true => format!(
            "<label for=\"portable\">{}</label> <select id=\"portable\" name=\"format\"><option value=\"json\">JSON</option><option value=\"csv\">CSV</option></select> ",
            words.format
        ),
        false => String::new(),
    };
    let _ = write!(
        main,
        "<form method=\"post\">{}<div class=\"actions\">{format}<button class=\"plain\">{}</button></div></form>",
        action("portability"),
        words.portability
    );
    let _ = write!(
        main,
        "<form method=\"post\">{}<p>{}</p><div class=\"actions\"><button class=\"plain\">{}</button></div></form>",
        action("restrict"),
        words.restrict_text,
        words.restrict
    );
    if is_direct && matches!(visit.link.who.0.as_str(), "email" | "phone") {
        let (label, kind) = match visit.link.who.0.as_str() {
            "email" => (words.right_email, "email"),
            _ => (words.right_phone, "tel"),
        };
        let _ = write!(
            main,
            "<form method=\"post\">{}<p>{}</p><div class=\"actions\"><label for=\"right\">{label}</label> <input id=\"right\" name=\"value\" type=\"{kind}\" required autocomplete=\"{kind}\"> <button class=\"plain\">{}</button></div></form>",
            action("correct"),
            words.correct_text,
            words.correct
        );
    }
    let _ = write!(
        main,
        "<form method=\"post\">{}<p><label><input type=\"checkbox\" name=\"sure\" value=\"1\">{}</label></p><div class=\"actions\"><button class=\"grave\">{}</button></div></form>",
        action("erase"),
        words.sure,
        words.erase
    );
    let others: Vec<String> = workspace
        .purposes
        .iter()
        .filter(|purpose| !purpose.is_marketing())
        .map(|purpose| format!("<li>{}</li>", escape(text(&purpose.terms.label, visit.lang, &purpose.key))))
        .collect();
    if !others.is_empty() {
        let _ = write!(main, "<h2>{}</h2><p>{}</p><ul>{}</ul>", words.others, words.others_text, others.concat());
    }
    debug_assert!(Channel::ALL.iter().all(|channel| !channel_name(*channel, visit.lang).is_empty()));
}
