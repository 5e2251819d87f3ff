import type { Command } from 'commander'
import { findAgent, type Context } from '../context.ts'
import { details } from '../output.ts'

/** Adds `agent proxy-token`. */
export function proxyTokenCommand(agent: Command, context: Context): void {
  agent
    .command('proxy-token')
    .argument('<agent>', 'name or id')
    .option('--revoke', 'end the token and what uses it')
    .description('a token for its machines elsewhere, as the environment to set there; replaces the one before')
    .action(async (name: string, options: { revoke?: boolean }) => {
      const client = context.client()
      const found = await findAgent(client, name)
      if (options.revoke === true) {
        const done = await client.agents.revokeProxyToken(found.id)
        context.out.answer(done, () => `${found.name} has no token for machines elsewhere.`)
        return
      }
      const made = await client.agents.createProxyToken(found.id)
      context.out.answer(made, () => (made.proxyUrl === null ? withoutProxy(made) : environment(made.proxyUrl)))
      if (context.out.json) return
      context.out.note('Shown this once. It holds while the agent is started.')
      if (made.proxyUrl === null)
        context.out.note('The proxy is off: an operator turns it on with `slopbox up --egress-listen ADDRESS:PORT`.')
    })
}

/** Both spellings: some programs read the one, some the other, and curl takes `http_proxy` in lower case only. */
function environment(proxyUrl: string): string {
  return ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']
    .map((name) => `export ${name}=${proxyUrl}`)
    .join('\n')
}

const withoutProxy = ({ username, token }: { username: string; token: string }): string =>
  details([
    ['username', username],
    ['token', token],
  ])
