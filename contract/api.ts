/** Every public operation, in the order of the documentation. */
import * as agents from './agents.ts'
import * as egress from './egress.ts'
import * as events from './events.ts'
import * as people from './people.ts'
import type { Route } from './route.ts'
import * as sandboxes from './sandboxes.ts'
import * as templates from './templates.ts'
import * as usage from './usage.ts'

export interface ApiSection {
  title: string
  routes: readonly Route[]
}

export const apiSections: readonly ApiSection[] = [
  { title: 'Account', routes: routesOf(people).filter((route) => !route.id.startsWith('admin.')) },
  { title: 'Agents', routes: routesOf(agents) },
  { title: 'Sandboxes', routes: routesOf(sandboxes) },
  { title: 'Egress, secrets and audit', routes: routesOf(egress) },
  { title: 'Usage and plans', routes: routesOf(usage) },
  { title: 'Templates and hosts', routes: routesOf(templates) },
  { title: 'Live changes', routes: routesOf(events) },
  { title: 'Administration', routes: routesOf(people).filter((route) => route.id.startsWith('admin.')) },
]

export const apiRoutes: readonly Route[] = apiSections.flatMap((section) => section.routes)

function routesOf(module: Readonly<Record<string, unknown>>): Route[] {
  return Object.values(module).filter(isRoute)
}

function isRoute(value: unknown): value is Route {
  return typeof value === 'object' && value !== null && 'kind' in value && 'path' in value && 'reply' in value
}
