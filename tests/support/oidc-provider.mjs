// An OpenID provider for the tests: the `oidc-provider` package behind TLS on loopback.
//
// Knows a few machine clients and what their tokens say. Driven over standard input, a JSON command
// a line, a JSON answer a line on standard output; the first line out names the issuer.
//
//   {"do":"token","client":ID,"resource":URI}   a real token by the client_credentials grant
//   {"do":"mint","claims":{..},"header":{..},"key":"own"|"foreign"}   a token that no grant would give
//   {"do":"rotate","keep":bool}                 a new signing key; the old one stays published or not
//   {"do":"outage","on":bool}                   the published key set vanishes, or comes back
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import { createPrivateKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import * as jose from 'jose';
import Provider from 'oidc-provider';

const [port, certFile, keyFile] = process.argv.slice(2);
const issuer = `https://localhost:${port}`;
const audiences = { 'urn:narrows': 'narrows', 'urn:elsewhere': 'elsewhere' };

// Long lists of groups make tokens of the size that large identity providers issue.
const groups = Array.from({ length: 40 }, (_, n) => `acme:deploy:region-${n}:operators`);
const clients = {
  'shop-bot': { repository: 'acme/shop', ref: 'refs/heads/main', environment: 'prod', groups },
  'reader-bot': { repository: 'acme/reader', ref: 'refs/heads/main', environment: 'prod' },
  'other-bot': { repository: 'acme/other', ref: 'refs/heads/main', environment: 'prod' },
};

let keys = [newKey()];
let foreign = newKey();
let outage = false;
let handler = newHandler();

const server = createServer(
  { cert: readFileSync(certFile), key: readFileSync(keyFile) },
  (request, response) => {
    if (outage && request.url.startsWith('/jwks')) {
      response.writeHead(503).end();
      return;
    }
    handler(request, response);
  },
);
server.listen(Number(port), '127.0.0.1', () => say({ issuer }));

createInterface({ input: process.stdin })
  .on('line', async (line) => {
    try {
      say(await carryOut(JSON.parse(line)));
    } catch (error) {
      say({ error: String(error?.stack ?? error) });
    }
  })
  .on('close', () => process.exit(0));

function say(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

async function carryOut(command) {
  switch (command.do) {
    case 'token': return { token: await grant(command.client, command.resource ?? 'urn:narrows') };
    case 'mint': return { token: await mint(command) };
    case 'rotate':
      keys = [newKey(), ...(command.keep ? keys : [])];
      handler = newHandler();
      return { kids: keys.map((key) => key.kid) };
    case 'outage':
      outage = command.on;
      return { outage };
    default: throw new Error(`no command ${command.do}`);
  }
}

async function grant(client, resource) {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${client}:${client}-secret`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
  });
  const body = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(body));
  return body.access_token;
}

async function mint({ claims = {}, header = {}, key = 'own' }) {
  const jwk = key === 'own' ? keys[0] : { ...foreign, kid: keys[0].kid };
  const now = Math.floor(Date.now() / 1000);
  const payload = {
    iss: issuer, aud: 'narrows', sub: 'shop-bot', jti: randomUUID(), iat: now, exp: now + 600,
    ...clients['shop-bot'], ...claims,
  };
  const protectedHeader = { alg: 'RS256', typ: 'JWT', kid: jwk.kid, ...header };
  if (protectedHeader.alg === 'none') {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    return `${part(protectedHeader)}.${part(payload)}.`;
  }
  if (protectedHeader.alg === 'HS256') {
    // The classic confusion: the public key's own text as the secret of a symmetric signature.
    const secret = new TextEncoder().encode(await publicPem(jwk));
    return new jose.SignJWT(payload).setProtectedHeader(protectedHeader).sign(secret);
  }
  const signer = createPrivateKey({ key: jwk, format: 'jwk' });
  return new jose.SignJWT(payload).setProtectedHeader(protectedHeader).sign(signer);
}

async function publicPem({ kty, n, e }) {
  return jose.exportSPKI(await jose.importJWK({ kty, n, e }, 'RS256'));
}

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

function newHandler() {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: Object.keys(clients).map((id) => ({
      client_id: id,
      client_secret: `${id}-secret`,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    cookies: { keys: [randomUUID()] },
    ttl: { ClientCredentials: 3600 },
    extraTokenClaims: (ctx, token) => clients[token.clientId],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: '',
          audience: audiences[resource],
          accessTokenTTL: 3600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  return provider.callback();
}
