//! Threads against RFC 5256 done step by step on trees that are looked at whole.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What a message of the model says.
#[derive(Clone, Debug)]
struct Mail {
    date: i64,
    id: Option<u64>,
    references: Vec<u64>,
    subject: u64,
    reply: bool,
}

fn forest(mails: &[Mail]) -> Forest {
    let mut links = Links::default();
    for (i, m) in mails.iter().enumerate() {
        let message = Message { position: i as u32, date: m.date, subject: m.subject, reply: m.reply };
        links.add(message, m.id, &m.references);
    }
    links.threads()
}

/// What the client reads, numbers from 1.
fn written(forest: &Forest) -> String {
    let (sink, mut read) = tokio::io::duplex(1 << 20);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let time_out = std::time::Duration::from_secs(5);
        let mut out = Output::new(Box::new(sink), time_out, tokio_util::sync::CancellationToken::new());
        forest.tell(&mut out, |p| p + 1).await.unwrap_or_else(|_| panic!("a pipe takes everything"));
        out.close().await;
        drop(out);
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut read, &mut text).await.expect("text");
        text.trim_end().to_owned()
    })
}

/// A tree of the model: `None` is a dummy.
#[derive(Clone, Debug)]
struct Tree {
    message: Option<usize>,
    children: Vec<Tree>,
}

/// RFC 5256, REFERENCES, step by step.
fn naive(mails: &[Mail]) -> String {
    // Step 1: nodes by id, and who is whose parent.
    let mut ids: BTreeMap<u64, usize> = BTreeMap::new();
    let mut message: Vec<Option<usize>> = Vec::new();
    let mut parent: Vec<Option<usize>> = Vec::new();
    let above = |parent: &[Option<usize>], node: usize, mut at: usize| loop {
        if at == node {
            return true;
        }
        match parent[at] {
            Some(next) => at = next,
            None => return false,
        }
    };
    for (i, mail) in mails.iter().enumerate() {
        fn make(message: &mut Vec<Option<usize>>, parent: &mut Vec<Option<usize>>, who: Option<usize>) -> usize {
            message.push(who);
            parent.push(None);
            message.len() - 1
        }
        let node = match mail.id {
            None => make(&mut message, &mut parent, Some(i)),
            Some(id) => match ids.get(&id).copied() {
                None => {
                    let node = make(&mut message, &mut parent, Some(i));
                    ids.insert(id, node);
                    node
                }
                Some(node) if message[node].is_none() => {
                    message[node] = Some(i);
                    node
                }
                Some(_) => make(&mut message, &mut parent, Some(i)),
            },
        };
        let mut last: Option<usize> = None;
        for reference in &mail.references {
            let here = *ids.entry(*reference).or_insert_with(|| make(&mut message, &mut parent, None));
            if let Some(last) = last
                && parent[here].is_none()
                && !above(&parent, here, last)
            {
                parent[here] = Some(last);
            }
            last = Some(here);
        }
        parent[node] = None;
        if let Some(last) = last
            && !above(&parent, node, last)
        {
            parent[node] = Some(last);
        }
    }
    fn tree(node: usize, message: &[Option<usize>], parent: &[Option<usize>]) -> Tree {
        let children = (0..parent.len()).filter(|n| parent[*n] == Some(node)).map(|n| tree(n, message, parent));
        Tree { message: message[node], children: children.collect() }
    }
    let mut roots: Vec<Tree> =
        (0..parent.len()).filter(|n| parent[*n].is_none()).map(|n| tree(n, &message, &parent)).collect();
    // Step 3.
    fn prune(tree: Tree, top: bool) -> Vec<Tree> {
        let children: Vec<Tree> = tree.children.into_iter().flat_map(|c| prune(c, false)).collect();
        match tree.message {
            None if children.is_empty() => Vec::new(),
            None if !top || children.len() == 1 => children,
            message => vec![Tree { message, children }],
        }
    }
    roots = roots.into_iter().flat_map(|r| prune(r, true)).collect();
    // Step 4.
    let key = |i: usize| (mails[i].date, i);
    let first = |t: &Tree| {
        t.message.unwrap_or_else(|| {
            t.children.iter().filter_map(|c| c.message).min_by_key(|m| key(*m)).expect("dummies hold messages")
        })
    };
    roots.sort_by_key(|t| key(first(t)));
    // Step 5.
    let subject = |t: &Tree| mails[first(t)].subject;
    let reply = |t: &Tree| t.message.is_some_and(|m| mails[m].reply);
    let mut table: BTreeMap<u64, usize> = BTreeMap::new();
    for (i, t) in roots.iter().enumerate().filter(|(_, t)| subject(t) != 0) {
        match table.get(&subject(t)) {
            None => {
                table.insert(subject(t), i);
            }
            Some(known) => {
                let known = &roots[*known];
                if known.message.is_some() && (t.message.is_none() || (!reply(t) && reply(known))) {
                    table.insert(subject(t), i);
                }
            }
        }
    }
    let mut slots: Vec<Option<Tree>> = roots.into_iter().map(Some).collect();
    for i in 0..slots.len() {
        let Some(current) = slots[i].clone() else { continue };
        let Some(known) = table.get(&subject(&current)).copied().filter(|_| subject(&current) != 0) else { continue };
        if known == i {
            continue;
        }
        slots[i] = None;
        let other = slots[known].as_mut().expect("what the table names is there");
        match (other.message, current.message) {
            (None, None) => other.children.extend(current.children),
            (None, Some(_)) => other.children.push(current),
            (Some(_), _) if reply(&current) && !reply(other) => other.children.push(current),
            _ => {
                let was = other.clone();
                *other = Tree { message: None, children: vec![current, was] };
            }
        }
    }
    let mut roots: Vec<Tree> = slots.into_iter().flatten().collect();
    // Step 6.
    fn sort(list: &mut [Tree], key: &dyn Fn(&Tree) -> (i64, usize)) {
        for t in list.iter_mut() {
            sort(&mut t.children, key);
        }
        list.sort_by_key(key);
    }
    sort(&mut roots, &|t| key(first(t)));
    fn write(t: &Tree, out: &mut String) {
        if let Some(m) = t.message {
            out.push_str(&(m + 1).to_string());
        }
        let several = t.children.len() > 1;
        for (i, c) in t.children.iter().enumerate() {
            if i == 0 && t.message.is_some() {
                out.push(' ');
            }
            out.push_str(if several { "(" } else { "" });
            write(c, out);
            out.push_str(if several { ")" } else { "" });
        }
    }
    let mut text = String::from("* THREAD");
    for (i, t) in roots.iter().enumerate() {
        text.push_str(if i == 0 { " (" } else { "(" });
        write(t, &mut text);
        text.push(')');
    }
    text
}

fn mail() -> impl Strategy<Value = Mail> {
    (
        0i64..6,
        proptest::option::weighted(0.9, 1u64..10),
        proptest::collection::vec(1u64..12, 0..5),
        0u64..5,
        any::<bool>(),
    )
        .prop_map(|(date, id, references, subject, reply)| Mail { date, id, references, subject, reply })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Ids that meet, cycles, lists cut short, subjects alike: all as the steps of the RFC have it.
    #[test]
    fn agrees_with_the_steps(mails in proptest::collection::vec(mail(), 0..12)) {
        prop_assert_eq!(written(&forest(&mails)), naive(&mails));
    }

    #[test]
    fn subjects_agree_with_grouping(mails in proptest::collection::vec(mail(), 0..12)) {
        let messages: Vec<Message> = mails.iter().enumerate()
            .map(|(i, m)| Message { position: i as u32, date: m.date, subject: m.subject, reply: m.reply }).collect();
        let mut groups: BTreeMap<u64, Vec<(i64, usize)>> = BTreeMap::new();
        for (i, m) in mails.iter().enumerate() {
            groups.entry(m.subject).or_default().push((m.date, i + 1));
        }
        let mut groups: Vec<Vec<(i64, usize)>> = groups.into_values().map(|mut g| { g.sort_unstable(); g }).collect();
        groups.sort_unstable_by_key(|g| g[0]);
        let mut text = String::from("* THREAD");
        for (i, group) in groups.iter().enumerate() {
            text.push_str(if i == 0 { " (" } else { "(" });
            text.push_str(&match &group[..] {
                [(_, one)] => one.to_string(),
                [(_, one), (_, two)] => format!("{one} {two}"),
                [(_, one), rest @ ..] => format!("{one} {}", rest.iter().map(|(_, n)| format!("({n})")).collect::<String>()),
                [] => unreachable!("a group has a message"),
            });
            text.push(')');
        }
        prop_assert_eq!(written(&ordered_subject(messages)), text);
    }

    #[test]
    fn ids_are_read_from_anything(text in "[<>a@\"\\\\ é]{0,30}") {
        let hash = RandomState::new();
        prop_assert!(ids(&text, &hash).count() <= text.matches('<').count());
    }
}

#[test]
fn ids_are_compared_without_quotes() {
    let hash = RandomState::new();
    let all = |text: &str| ids(text, &hash).collect::<Vec<_>>();
    assert_eq!(all("<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>"), all("x <01KF8JCEOCBS0045PS@xxx.yyy.com> y"));
    assert_eq!(all("<a@b> (c) <c@d>").len(), 2);
    assert_eq!(all("<no id> <<a@b>"), all("<a@b>"));
    assert!(all("nothing").is_empty());
}

/// The example of RFC 5256 §4, built from references.
#[test]
fn branches_are_written_as_the_rfc_has_them() {
    let mail = |date, id, references: &[u64]| Mail {
        date,
        id: Some(id),
        references: references.to_vec(),
        subject: 0,
        reply: false,
    };
    let mails = [
        mail(1, 1, &[]),
        mail(2, 2, &[]),
        mail(3, 3, &[2]),
        mail(4, 4, &[2, 3]),
        mail(5, 5, &[2, 3, 4]),
        mail(6, 6, &[2, 3]),
        mail(7, 7, &[99]),
        mail(8, 8, &[99]),
    ];
    assert_eq!(written(&forest(&mails)), "* THREAD (1)(2 3 (4 5)(6))((7)(8))");
}

/// Folders made to be slow: long chains told backwards, cycles, thousands of references in each message.
#[test]
fn hostile_folders_cost_little() {
    let work = patience::Work::begin();
    let many = 30_000u64;
    let mail = |i: u64, references: Vec<u64>| Mail {
        date: i as i64,
        id: Some(i),
        references,
        subject: 1 + i % 3,
        reply: i.is_multiple_of(2),
    };
    let chain: Vec<Mail> = (1..many).map(|i| mail(i, vec![i + 1])).collect();
    assert_eq!(written(&forest(&chain)).matches(' ').count() as u64, many);
    let loops: Vec<Mail> =
        (1..many).map(|i| mail(i, vec![i + 1, 1 + (i * 7919) % many, 1 + (i * 31) % many, i])).collect();
    let _ = written(&forest(&loops));
    let long: Vec<Mail> =
        (1..600).map(|i| mail(i, (0..500).map(|r| 1 + (i * 131 + r * 17) % 5000).collect())).collect();
    let _ = written(&forest(&long));
    assert!(work.spent() < std::time::Duration::from_secs(20), "{:?}", work.spent());
}
