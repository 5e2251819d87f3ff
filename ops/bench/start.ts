import { setTimeout as sleep } from 'node:timers/promises'
import type { Agent } from '../../contract/agents.ts'
import { SlopboxError } from '../../contract/errors.ts'
import type { Slopbox } from '../../sdk/index.ts'
import { startModelStub } from './model-stub.ts'
import { summarize, type Summary } from './statistics.ts'

export interface StartFigures {
  n: number
  successRate: number
  /** From `POST /v1/agents` to healthy. */
  totalMs: Summary
  /** Time spent in each stage, in this order. */
  stagesMs: Record<'placed' | 'template' | 'created' | 'booted' | 'ready', Summary>
  /** All but the agent's own boot: the API call until its process was started. */
  ownMs: Summary
}

const stages = ['placed', 'template', 'created', 'booted', 'ready'] as const

/** Creates and destroys `n` agents one after another. The template must be present, so that building it is not measured. */
export async function measureStart(client: Slopbox, n: number, note: (text: string) => void): Promise<StartFigures> {
  const template = await client.templates.get('openclaw')
  if (template.state !== 'ready')
    throw new SlopboxError('wrong_state', `template openclaw is ${template.state}, not ready`, {
      hint: 'Wait for the build: `slopbox template list`.',
    })
  await using model = await startModelStub()
  const marks: number[][] = []
  for (let i = 1; i <= n; i += 1) {
    const agent = await startOne(client, `bench-${Date.now().toString(36)}-${i}`, model.url)
    const timings = agent.sandbox?.timings
    if (agent.state === 'running' && timings !== undefined)
      marks.push(stages.map((stage) => timings[`${stage}Ms`] ?? Number.NaN))
    note(`${i}/${n}: ${agent.state}${agent.reason === null ? '' : `: ${agent.reason}`}`)
    await client.agents.destroy(agent.id)
    await gone(client, agent.id)
  }
  if (marks.length === 0)
    throw new SlopboxError('upstream_failed', `none of ${n} agents came up`, {
      hint: 'See `slopbox logs host` and `slopbox agent logs`.',
    })
  const column = (i: number): number[] => marks.map((mark) => mark[i] ?? Number.NaN)
  const spent = (i: number): number[] =>
    marks.map((mark) => (mark[i] ?? Number.NaN) - (i === 0 ? 0 : (mark[i - 1] ?? Number.NaN)))
  return {
    n,
    successRate: marks.length / n,
    totalMs: summarize(column(4)),
    stagesMs: {
      placed: summarize(spent(0)),
      template: summarize(spent(1)),
      created: summarize(spent(2)),
      booted: summarize(spent(3)),
      ready: summarize(spent(4)),
    },
    ownMs: summarize(column(3)),
  }
}

async function startOne(client: Slopbox, name: string, baseUrl: string): Promise<Agent> {
  let agent = await client.agents.create({ name, model: { baseUrl, id: 'none', secret: null } })
  while (agent.state !== 'running' && agent.state !== 'error') {
    await sleep(100)
    agent = await client.agents.get(agent.id)
  }
  return agent
}

/** The next one must not share the machine with the teardown of this one. */
async function gone(client: Slopbox, id: string): Promise<void> {
  for (;;) {
    try {
      await client.agents.get(id)
    } catch (error) {
      if (error instanceof SlopboxError && error.code === 'not_found') return
      throw error
    }
    await sleep(100)
  }
}
