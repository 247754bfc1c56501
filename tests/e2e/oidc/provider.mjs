// A certified OpenID provider (npm oidc-provider) as the tests want it: whoever types a name is that person; whoever ticks the box has a second factor.
// Standard input: {client_id, client_secret, redirect_uri, home, back_channel, groups: {name: [...]}}. Says its issuer once it is up.

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

const input = JSON.parse(readFileSync(0, 'utf8'));
const server = createServer();
await new Promise((up) => server.listen(0, '127.0.0.1', up));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
    clients: [{
        client_id: input.client_id,
        client_secret: input.client_secret,
        redirect_uris: [input.redirect_uri],
        post_logout_redirect_uris: [input.home],
        response_types: ['code'],
        grant_types: ['authorization_code'],
        backchannel_logout_uri: input.back_channel,
        backchannel_logout_session_required: true
    }],
    acrValues: ['faible', 'fort'],
    claims: { openid: ['sub', 'acr', 'amr', 'groups', 'preferred_username'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['essai'] },
    features: {
        devInteractions: { enabled: false },
        backchannelLogout: { enabled: true },
        rpInitiatedLogout: { enabled: true }
    },
    interactions: { url: (ctx, interaction) => `/entrer/${interaction.uid}` },
    pkce: { required: () => true },
    // Its own refuses this machine's addresses.
    fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
    findAccount: async (ctx, sub) => ({
        accountId: sub,
        claims: async () => ({ sub, groups: input.groups[sub] ?? [], preferred_username: sub })
    }),
    loadExistingGrant: async (ctx) => {
        const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
        grant.addOIDCScope('openid');
        await grant.save();
        return grant;
    }
});
provider.on('server_error', (ctx, error) => console.error(error));
provider.on('backchannel.error', (ctx, error) => console.error('backchannel', error));

const serve = provider.callback();
server.on('request', async (request, response) => {
    if (!request.url.startsWith('/entrer/')) return serve(request, response);
    if (request.method === 'POST') {
        let body = '';
        for await (const piece of request) body += piece;
        const form = new URLSearchParams(body);
        const strong = form.has('fort');
        const login = { accountId: form.get('nom'), acr: strong ? 'fort' : 'faible', amr: strong ? ['pwd', 'otp'] : ['pwd'] };
        return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
    }
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end('<!doctype html><title>Fournisseur</title><main><form method="post"><input id="nom" name="nom">'
        + '<input type="checkbox" id="fort" name="fort"><button id="entrer">Entrer</button></form></main>');
});
console.log(issuer);
