//! What the proof for one person says to a reader, in French or English; [`crate::proof_page`] and [`crate::proof_pdf`] set it.

use jumelle_model::consent::Channel;
use serde_json::Value;

use crate::preference_words::channel_name;

/// What the document says in one language.
pub struct Words {
    lang: &'static str,
    title: &'static str,
    about: &'static str,
    made: &'static str,
    choices: &'static str,
    choice_columns: [&'static str; 6],
    sent: &'static str,
    sent_columns: [&'static str; 6],
    erased: &'static str,
    erasure_columns: [&'static str; 3],
    no_text: &'static str,
    roots: &'static str,
    root_columns: [&'static str; 4],
    check: &'static str,
    none: &'static str,
    granted: &'static str,
    denied: &'static str,
    every_channel: &'static str,
    person: &'static str,
    basis: &'static str,
    /// French sets a space that does not break before it.
    colon: &'static str,
    quotes: [&'static str; 2],
    takes_back: &'static str,
    open: &'static str,
    unsigned: &'static str,
    truncated: &'static str,
}

const FRENCH: Words = Words {
    lang: "fr",
    title: "Preuve des choix et des envois",
    about: "Personne",
    made: "Établie le",
    choices: "Ce qui a été choisi",
    choice_columns: ["Choisi le", "Finalité et canal", "Choix", "Pour", "Ce qui a été montré, où et comment", "Inscription"],
    sent: "Ce qui a été envoyé",
    sent_columns: ["Envoyé le", "À", "Finalité et canal", "Contenu", "En vertu de", "Résultat"],
    erased: "Effacement",
    erasure_columns: ["Le", "Ce qui a été effacé", "Inscription"],
    no_text: "inscriptions effacées : leur texte n'existe plus, leur empreinte demeure",
    roots: "Racines des jours",
    root_columns: ["Jour", "Inscriptions", "Racine (RFC 6962)", "Signature Ed25519"],
    check: "Chaque ligne renvoie à une inscription du registre (jour et numéro). Le fichier JSON de cette preuve (joint au PDF) contient leur texte \
            exact et le chemin jusqu'à la racine signée du jour ; un programme indépendant de 60 lignes, dans la documentation, le vérifie.",
    none: "Rien.",
    granted: "accordé",
    denied: "refusé",
    every_channel: "tous les canaux",
    person: "la personne",
    basis: "base légale",
    colon: "\u{a0}:",
    quotes: ["«\u{a0}", "\u{a0}»"],
    takes_back: "retrait de la personne de l'outil",
    open: "jour en cours",
    unsigned: "non signée",
    truncated: "Les inscriptions les plus anciennes ne figurent pas dans ce document.",
};

const ENGLISH: Words = Words {
    lang: "en",
    title: "Proof of choices and messages",
    about: "Person",
    made: "Made on",
    choices: "What was chosen",
    choice_columns: ["Chosen on", "Purpose and channel", "Choice", "For", "What was shown, where and how", "Entry"],
    sent: "What was sent",
    sent_columns: ["Sent on", "To", "Purpose and channel", "Content", "Under", "Result"],
    erased: "Erasure",
    erasure_columns: ["On", "What was erased", "Entry"],
    no_text: "entries erased: their text is gone, their hash stays",
    roots: "Roots of the days",
    root_columns: ["Day", "Entries", "Root (RFC 6962)", "Ed25519 signature"],
    check: "Each line refers to an entry of the ledger (day and number). The JSON file of this proof (attached to the PDF) has their exact text and the way \
            to the signed root of the day; an independent program of 60 lines, in the documentation, checks it.",
    none: "Nothing.",
    granted: "granted",
    denied: "denied",
    every_channel: "every channel",
    person: "the person",
    basis: "legal basis",
    colon: ":",
    quotes: ["“", "”"],
    takes_back: "takes the person out of the tool",
    open: "day not over",
    unsigned: "not signed",
    truncated: "The oldest entries are not in this document.",
};

/// What codes say: code, French, English. One that is not here stands as it is.
const CODES: [(&str, &str, &str); 12] = [
    ("contract", "contrat", "contract"),
    ("legitimate_interest", "intérêt légitime", "legitimate interest"),
    ("legal_obligation", "obligation légale", "legal obligation"),
    ("soft_opt_in", "achat de produits analogues", "purchase of similar products"),
    ("segment.entered", "ajout au groupe", "added to the group"),
    ("segment.exited", "retrait du groupe", "taken out of the group"),
    ("profile.updated", "mise à jour", "update"),
    ("consent.withdrawn", "retrait du consentement", "withdrawal of consent"),
    ("profile.erased", "effacement", "erasure"),
    ("sent", "envoyé", "sent"),
    ("blocked", "retenu", "held back"),
    ("dead", "abandonné", "given up"),
];

impl Words {
    fn code(&self, code: &Value) -> String {
        let code = text(code);
        let known = CODES.iter().find(|(known, ..)| *known == code);
        known.map_or(code, |(_, french, english)| if self.lang == "fr" { *french } else { *english }.to_owned())
    }

    /// Of `fr`; English for everything else.
    pub fn of(lang: &str) -> &'static Words {
        if lang == "fr" { &FRENCH } else { &ENGLISH }
    }
}

/// The document before it has a form.
pub(crate) struct Document {
    pub(crate) lang: &'static str,
    pub(crate) title: &'static str,
    /// About whom, and when it was made: name and value.
    pub(crate) head: [(&'static str, String); 2],
    /// After a name.
    pub(crate) colon: &'static str,
    /// What a reader must know before the rest.
    pub(crate) warning: Option<&'static str>,
    pub(crate) sections: Vec<Section>,
    /// How to check it.
    pub(crate) check: &'static str,
    pub(crate) none: &'static str,
}

/// A table with its heading.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// The lines of one cell.
pub(crate) type Cell = Vec<Line>;

/// One line, as plain text.
pub(crate) struct Line {
    pub(crate) ink: Ink,
    pub(crate) text: String,
}

/// How a line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ink {
    Plain,
    Strong,
    /// A hash or a signature.
    Code,
}

fn line(text: impl Into<String>) -> Line {
    Line { ink: Ink::Plain, text: text.into() }
}

fn code(text: impl Into<String>) -> Line {
    Line { ink: Ink::Code, text: text.into() }
}

/// A proof (`GET /v1/privacy/proof`) in words.
pub(crate) fn document(proof: &Value, words: &Words) -> Document {
    let choices = items(&proof["choices"]).iter().map(|choice| {
        let state = if choice["state"] == "granted" { words.granted } else { words.denied };
        let shown = match choice["shown"].is_null() {
            true => vec![line(text(&choice["source"]))],
            false => fields(&choice["shown"]),
        };
        let shown = shown.into_iter().chain(words_shown(proof, choice, words)).collect();
        vec![
            vec![line(instant(&choice["chosen_at"]))],
            vec![purpose(proof, choice, words)],
            vec![Line { ink: Ink::Strong, text: state.to_owned() }],
            vec![line(address(&choice["address"]).unwrap_or_else(|| words.person.into()))],
            shown,
            vec![line(place(&choice["entry"]))],
        ]
    });
    let sent = items(&proof["sent"]).iter().map(|sent| {
        let under = match &sent["under"] {
            Value::String(_) => vec![line(words.takes_back)],
            Value::Object(under) if under.contains_key("basis") => {
                vec![line(format!("{}{} {}", words.basis, words.colon, words.code(&under["basis"])))]
            }
            under => vec![line(place(&sent["choice"])), line(instant(&under["choice"]["since"]))],
        };
        let outcome = match &sent["outcome"] {
            Value::Null => vec![line("–")],
            outcome => {
                let state = format!("{} {}", words.code(&outcome["state"]), text(&outcome["status"]));
                vec![line(state.trim_end()), line(instant(&outcome["at"]))]
            }
        };
        let attempts = items(&sent["let_out"]).iter().map(|attempt| line(place(&attempt["entry"])));
        vec![
            std::iter::once(line(instant(&sent["at"]))).chain(attempts).collect(),
            std::iter::once(line(text(&sent["destination"]))).chain(address(&sent["address"]).map(line)).collect(),
            vec![purpose(proof, sent, words)],
            std::iter::once(line(words.code(&sent["type"]))).chain(fields(&sent["data"])).collect(),
            under,
            outcome,
        ]
    });
    let erasures = items(&proof["erasures"]).iter().map(|erasure| {
        let (entries, place) = (text(&erasure["entries"]), place(&erasure["entry"]));
        vec![vec![line(instant(&erasure["at"]))], vec![line(format!("{entries} {}", words.no_text))], vec![line(place)]]
    });
    let roots = proof["roots"].as_object().into_iter().flat_map(|roots| roots.values()).map(|root| {
        let day = std::iter::once(line(text(&root["day"]))).chain((root["closed"] != true).then(|| line(words.open)));
        let signature = root["signature"].as_str().map_or_else(|| line(words.unsigned), code);
        vec![day.collect(), vec![line(text(&root["size"]))], vec![code(text(&root["root"]))], vec![signature]]
    });
    let mut sections = vec![
        Section { title: words.choices, columns: words.choice_columns.to_vec(), rows: choices.collect() },
        Section { title: words.sent, columns: words.sent_columns.to_vec(), rows: sent.collect() },
    ];
    let erasures: Vec<Vec<Cell>> = erasures.collect();
    if !erasures.is_empty() {
        sections.push(Section { title: words.erased, columns: words.erasure_columns.to_vec(), rows: erasures });
    }
    sections.push(Section { title: words.roots, columns: words.root_columns.to_vec(), rows: roots.collect() });
    Document {
        lang: words.lang,
        title: words.title,
        head: [(words.about, text(&proof["identifier"])), (words.made, instant(&proof["made_at"]))],
        colon: words.colon,
        warning: (proof["truncated"] == true).then_some(words.truncated),
        sections,
        check: words.check,
        none: words.none,
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The words of the version that was shown, in the document's language if they are there in it.
fn words_shown(proof: &Value, choice: &Value, words: &Words) -> Option<Line> {
    let version = text(&choice["shown"]["text_version"]);
    let purpose = choice["purpose"].as_str()?;
    let now = &proof["purposes"][purpose]["texts"][version.as_str()];
    let said = in_language(&choice["text"]["words"], words).or_else(|| in_language(now, words))?;
    Some(line(format!("{}{said}{}", words.quotes[0], words.quotes[1])))
}

fn in_language<'v>(label: &'v Value, words: &Words) -> Option<&'v str> {
    [words.lang, "fr", "en"].iter().find_map(|lang| label[lang].as_str())
}

fn purpose(proof: &Value, value: &Value, words: &Words) -> Line {
    let channel = value["channel"]
        .as_str()
        .map_or(words.every_channel, |key| Channel::parse(key).map_or(key, |channel| channel_name(channel, words.lang)));
    let key = text(&value["purpose"]);
    match in_language(&proof["purposes"][key.as_str()]["label"], words).filter(|label| *label != key) {
        Some(label) => line(format!("{label} ({key}) · {channel}")),
        None => line(format!("{key} · {channel}")),
    }
}

fn address(value: &Value) -> Option<String> {
    let (namespace, value) = (value.get(0)?.as_str()?, value.get(1)?.as_str()?);
    Some(format!("{namespace}: {value}"))
}

fn place(value: &Value) -> String {
    if value.is_null() { "–".to_owned() } else { format!("{} n° {}", text(&value["day"]), text(&value["index"])) }
}

fn fields(value: &Value) -> Vec<Line> {
    let Some(object) = value.as_object() else { return vec![line(text(value))] };
    object.iter().map(|(field, value)| line(format!("{field}: {}", text(value)))).collect()
}

/// To the second and with its zone, for people; the entries have it whole.
fn instant(value: &Value) -> String {
    let text = text(value);
    match text.split_once('T') {
        Some((day, time)) if time.ends_with('Z') && time.len() >= 9 => format!("{day} {} UTC", &time[..8]),
        _ => text,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
