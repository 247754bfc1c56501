'use strict';
// What a program made with ImapFlow does, step by step; the answers go out as JSON for test_clients.py to judge.
// Standard input: {host, port, user, token, ca, folder, message (base64), options}.

const { ImapFlow } = require('imapflow');
const fs = require('fs');

const input = JSON.parse(fs.readFileSync(0, 'utf8'));
const message = Buffer.from(input.message, 'base64');

function client(options = {}) {
    return new ImapFlow({
        host: input.host,
        port: input.port,
        secure: false,
        doSTARTTLS: true,
        auth: { user: input.user, accessToken: input.token },
        tls: { ca: fs.readFileSync(input.ca) },
        logger: false,
        ...options
    });
}

async function text(stream) {
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    return Buffer.concat(pieces).toString('utf8');
}

async function all(found) {
    const list = [];
    for await (const one of found) list.push(one);
    return list;
}

function event(emitter, name) {
    return new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`no ${name} within 20 s`)), 20000);
        emitter.once(name, found => {
            clearTimeout(late);
            resolve(found);
        });
    });
}

async function main() {
    const told = {};
    const one = client({ qresync: true, ...input.options });
    await one.connect();
    told.secure = one.secureConnection;
    told.capabilities = [...one.capabilities.keys()];
    told.enabled = [...one.enabled];
    told.compressed = Boolean(one._deflate);

    const listed = await one.list();
    told.specialUse = Object.fromEntries(listed.filter(f => f.specialUse).map(f => [f.path, f.specialUse]));

    told.created = await one.mailboxCreate(input.folder);
    told.opened = await one.mailboxOpen(input.folder);
    told.appended = [];
    for (const flags of [['\\Seen'], [], ['\\Flagged', '$Traite']]) {
        told.appended.push(await one.append(input.folder, message, flags, new Date('2026-06-15T10:00:00Z')));
    }
    await one.noop();
    told.exists = one.mailbox.exists;

    told.fetched = await all(one.fetch('1:*', {
        uid: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, size: true, threadId: true,
        headers: ['subject'], bodyParts: ['1', '2.mime', 'text'], source: { start: 0, maxLength: 20 }
    }));
    for (const fetched of told.fetched) {
        fetched.bodyParts = Object.fromEntries([...fetched.bodyParts].map(([key, value]) => [key, value.toString('utf8')]));
        fetched.headers = fetched.headers.toString();
        fetched.source = fetched.source.toString();
    }
    const part = await one.download('1', '1');
    told.decoded = await text(part.content);
    told.decodedType = part.meta.contentType;
    const whole = await one.download('1');
    told.whole = (await text(whole.content)) === message.toString('utf8');
    const many = await one.downloadMany('1', ['1', '2']);
    told.attachment = many['2'].content.toString('base64');

    told.searched = {
        all: await one.search({ all: true }),
        seen: await one.search({ seen: true }),
        flagged: await one.search({ flagged: true }, { uid: true }),
        subject: await one.search({ subject: 'Résultat' }),
        body: await one.search({ body: 'à tous' }),
        or: await one.search({ or: [{ seen: true }, { keyword: '$Traite' }] }),
        since: await one.search({ since: new Date('2026-06-16T00:00:00Z') }),
        modseq: (await one.search({ modseq: 1 })).length,
        threadId: await one.search({ threadId: told.fetched[0].threadId }),
        emailId: await one.search({ emailId: told.fetched[1].emailId })
    };

    told.status = await one.status(input.folder, { messages: true, unseen: true, uidNext: true, uidValidity: true, highestModseq: true });
    told.quota = await one.getQuota();

    // What another session does arrives in IDLE.
    const other = client(input.options);
    await other.connect();
    await other.mailboxOpen(input.folder);
    const idle = one.idle();
    const arrived = event(one, 'exists');
    await other.append(input.folder, message, ['\\Seen']);
    told.arrived = await arrived;
    const flagged = event(one, 'flags');
    await other.messageFlagsAdd('2', ['\\Answered']);
    told.flagged = await flagged;
    const gone = event(one, 'expunge');
    await other.messageDelete('1');
    told.gone = await gone;
    await one.noop();
    await idle;

    // CONDSTORE and QRESYNC: only what changed, by UID.
    const before = one.mailbox.highestModseq;
    await other.messageFlagsAdd(String(told.appended[2].uid), ['\\Seen'], { uid: true });
    await one.noop();
    const vanished = [];
    one.on('expunge', found => vanished.push(found));
    await other.messageDelete(String(told.appended[1].uid), { uid: true });
    told.changed = (await all(one.fetch('1:*', { uid: true, flags: true }, { uid: true, changedSince: before }))).map(m => m.uid);
    await one.noop();
    told.vanished = [...vanished];
    told.refused = await one.messageFlagsAdd('1:*', ['\\Deleted'], { unchangedSince: 1n });
    told.afterRefused = (await all(one.fetch('1:*', { uid: true, flags: true })));

    told.renamed = await one.mailboxRename(input.folder, `${input.folder} été & cie`);
    await one.mailboxOpen(`${input.folder} été & cie`);
    told.copied = await one.messageCopy('1:*', 'Archive');
    told.moved = await one.messageMove('1', 'Trash');
    told.left = (await one.search({ all: true })).length;
    told.flagsSet = await one.messageFlagsSet('1:*', ['$Fini', '\\Seen']);
    await one.mailboxClose();
    told.subscribed = await one.mailboxSubscribe(`${input.folder} été & cie`);

    await other.logout();
    await one.logout();
    return told;
}

main().then(
    told => process.stdout.write(JSON.stringify(told, (_, value) =>
        typeof value === 'bigint' ? String(value) : value instanceof Map ? Object.fromEntries(value) : value instanceof Set ? [...value] : value)),
    error => {
        console.error(error, error.response || '', error.responseText || '');
        process.exit(1);
    }
);
