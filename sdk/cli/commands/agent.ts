import { Option, type Command } from 'commander'
import { modelApis, personalityPresets, type Agent } from '../../../contract/agents.ts'
import { SlopboxError } from '../../../contract/errors.ts'
import type { Slopbox } from '../../index.ts'
import { collect, fileText, integer, secretFromInput } from '../arguments.ts'
import { findAgent, type Context } from '../context.ts'
import { details, printable, table } from '../output.ts'
import { proxyTokenCommand } from './proxy-token.ts'

export function agentCommands(program: Command, context: Context): void {
  const agent = program.command('agent').description('agents: create, talk to, stop and start')
  addCreate(agent, context)

  agent
    .command('list')
    .description('your agents')
    .action(async () => {
      const agents = await Array.fromAsync(context.client().agents.all())
      context.out.answer(agents, () =>
        table(
          ['NAME', 'ID', 'STATE', 'MODEL', 'REASON'],
          agents.map((a) => [a.name, a.id, stateOf(a), a.model.id, a.reason ?? '']),
          'No agents yet. Make one: slopbox agent create --help',
        ),
      )
    })
  agent
    .command('get')
    .argument('<agent>', 'name or id')
    .description('one agent')
    .action(async (name: string) => {
      show(context, await findAgent(context.client(), name))
    })

  const verbs = {
    start: 'start a stopped agent',
    stop: 'stop it; disk and workspace stay',
    restart: 'stop and start again',
  } as const
  for (const verb of ['start', 'stop', 'restart'] as const) {
    agent
      .command(verb)
      .argument('<agent>', 'name or id')
      .option('--wait', 'until it is done')
      .description(verbs[verb])
      .action(async (name: string, options: { wait?: boolean }) => {
        const client = context.client()
        const changed = await client.agents[verb]((await findAgent(client, name)).id)
        show(
          context,
          options.wait === true
            ? await settle(client, changed, context, verb === 'stop' ? 'stopped' : 'running')
            : changed,
        )
      })
  }

  agent
    .command('destroy')
    .argument('<agent>', 'name or id')
    .option('--yes', 'do not ask')
    .description('destroy the agent, its sandbox and its workspace')
    .action(async (name: string, options: { yes?: boolean }) => {
      const client = context.client()
      const found = await findAgent(client, name)
      if (options.yes !== true)
        throw new SlopboxError('invalid_request', `this deletes ${found.name} with its workspace for good`, {
          hint: 'Say so with --yes.',
        })
      context.out.answer(await client.agents.destroy(found.id), () => `${found.name} is being destroyed.`)
    })
  agent
    .command('wipe')
    .argument('<agent>', 'name or id')
    .option('--delete-workspace', 'also delete the workspace')
    .description('replace its disk by a fresh one')
    .action(async (name: string, options: { deleteWorkspace?: boolean }) => {
      const client = context.client()
      show(
        context,
        await client.agents.wipe(
          (await findAgent(client, name)).id,
          options.deleteWorkspace === true ? 'delete' : 'keep',
        ),
      )
    })

  addTalk(agent, context)
  proxyTokenCommand(agent, context)
}

interface CreateOptions {
  preset: (typeof personalityPresets)[number]
  soul?: string
  instructions?: string
  emoji?: string
  model: string
  baseUrl: string
  api: (typeof modelApis)[number]
  secret?: string
  keyStdin?: boolean
  allow: string[]
  cpus: number
  memory: number
  start: boolean
  wait?: boolean
}

function addCreate(agent: Command, context: Context): void {
  agent
    .command('create')
    .argument('<name>', 'unique in your team')
    .description('create an agent')
    .addOption(new Option('--preset <preset>', 'built-in character').choices(personalityPresets).default('assistant'))
    .option('--soul <file>', 'own text for SOUL.md (- for standard input)', fileText)
    .option('--instructions <file>', 'own text for AGENTS.md', fileText)
    .option('--emoji <emoji>', 'shown beside the name')
    .requiredOption('--model <id>', 'model name as the endpoint knows it')
    .option('--base-url <url>', 'endpoint with its version path', 'https://api.openai.com/v1')
    .addOption(
      new Option('--api <api>', 'how the endpoint is spoken to').choices(modelApis).default('openai-completions'),
    )
    .option('--secret <name>', 'stored secret that holds the key')
    .option('--key-stdin', 'read the key from standard input and store it as a secret')
    .option('--allow <host>', 'host it may reach, may be repeated', collect, [])
    .option('--cpus <n>', 'cores', integer(1, 64), 2)
    .option('--memory <MiB>', 'memory', integer(64, 262_144), 2048)
    .option('--no-start', 'create it stopped')
    .option('--wait', 'until it runs')
    .action(async (name: string, o: CreateOptions) => {
      const client = context.client()
      const key = o.keyStdin === true ? { key: await secretFromInput('Model key') } : {}
      const created = await client.agents.create({
        name,
        personality: {
          preset: o.preset,
          ...(o.soul === undefined ? {} : { soul: o.soul }),
          ...(o.instructions === undefined ? {} : { instructions: o.instructions }),
          ...(o.emoji === undefined ? {} : { emoji: o.emoji }),
        },
        model: { baseUrl: o.baseUrl, api: o.api, id: o.model, secret: o.secret ?? null, ...key },
        allow: o.allow,
        size: { cpus: o.cpus, memoryMiB: o.memory },
        start: o.start,
      })
      show(context, o.wait === true && o.start ? await settle(client, created, context, 'running') : created)
    })
}

function addTalk(agent: Command, context: Context): void {
  agent
    .command('chat')
    .argument('<agent>', 'name or id')
    .argument('[message]', 'else from standard input')
    .option('--session <name>', 'conversation', 'main')
    .description('say something and read the answer')
    .action(async (name: string, message: string | undefined, o: { session: string }) => {
      const client = context.client()
      const found = await findAgent(client, name)
      let shown = ''
      for await (const event of client.agents.chat(found.id, {
        message: message ?? fileText('-'),
        session: o.session,
      })) {
        if (context.out.json) context.out.item(event, () => '')
        else if (event.type !== 'error') {
          // The answer comes whole each time; print what is new, or begin again when the agent rewrote it.
          const text = printable(event.text)
          context.out.write(text.startsWith(shown) ? text.slice(shown.length) : `\n${text}`)
          shown = text
        }
        if (event.type === 'error')
          throw new SlopboxError('upstream_failed', event.message, { hint: `See \`slopbox agent logs ${found.id}\`.` })
      }
      if (!context.out.json) context.out.write('\n')
    })
  agent
    .command('new-session')
    .argument('<agent>', 'name or id')
    .option('--session <name>', 'conversation', 'main')
    .description('begin a new conversation')
    .action(async (name: string, o: { session: string }) => {
      const client = context.client()
      context.out.answer(
        await client.agents.resetSession((await findAgent(client, name)).id, o.session),
        () => 'A new conversation begins.',
      )
    })
  agent
    .command('logs')
    .argument('<agent>', 'name or id')
    .option('-f, --follow', 'wait for more')
    .option('-n, --tail <lines>', 'lines from the end', integer(0, 10_000), 200)
    .description('output of its process')
    .action(async (name: string, o: { follow?: boolean; tail: number }) => {
      const client = context.client()
      for await (const line of client.agents.logs((await findAgent(client, name)).id, {
        tail: o.tail,
        follow: o.follow === true ? 'true' : 'false',
      }))
        context.out.item(line, () => `${line.at}  ${printable(line.text)}`)
    })
  agent
    .command('events')
    .argument('<agent>', 'name or id')
    .description('what happened to it')
    .action(async (name: string) => {
      const client = context.client()
      const { items } = await client.agents.events((await findAgent(client, name)).id, { limit: 100 })
      context.out.answer(items, () =>
        table(
          ['TIME', 'EVENT', 'MESSAGE'],
          items.map((e) => [e.at, e.kind, e.message]),
          'Nothing happened yet.',
        ),
      )
    })
}

const stateOf = (a: Agent): string => (a.step === null ? a.state : `${a.state} (${a.step})`)

function show(context: Context, a: Agent): void {
  context.out.answer(a, () =>
    details([
      ['name', a.name],
      ['id', a.id],
      ['state', stateOf(a)],
      ['reason', a.reason ?? '-'],
      ['model', `${a.model.id} at ${a.model.baseUrl}`],
      ['url', a.url ?? '-'],
      ['created', a.createdAt],
    ]),
  )
}

/** Asks again until the agent is where it should be, telling each step; throws its reason when it ends in error. */
async function settle(client: Slopbox, agent: Agent, context: Context, want: 'running' | 'stopped'): Promise<Agent> {
  let told = ''
  for (let now = agent; ; now = await client.agents.get(agent.id)) {
    const text = `${stateOf(now)}${now.reason === null ? '' : `: ${now.reason}`}`
    if (text !== told) context.out.note(text)
    told = text
    if (now.state === want) return now
    if (now.state === 'error' || (now.state === 'stopped' && want === 'running'))
      throw new SlopboxError(
        'wrong_state',
        `${now.name} is ${now.state === 'error' ? 'in error' : now.state}: ${now.reason ?? 'no reason given'}`,
        {
          hint: `See \`slopbox agent logs ${now.id}\`.`,
        },
      )
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}
