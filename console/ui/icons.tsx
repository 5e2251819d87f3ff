import type { ReactNode } from 'react'
import { cn } from './cn.ts'

// Drawn on a 20-unit grid with a 1.6 stroke. Decorative: the control around an icon carries the name.
const shapes = {
  agents: (
    <>
      <rect x="3" y="6" width="14" height="11" rx="3" />
      <path d="M10 6V3M7.5 11v1.2M12.5 11v1.2" />
    </>
  ),
  key: (
    <>
      <circle cx="7" cy="13" r="3.5" />
      <path d="m9.6 10.4 6.9-6.9M13.5 6.5l2.5 2.5" />
    </>
  ),
  chart: <path d="M3 17h14M5.5 17v-5M10 17V4.5M14.5 17V9" />,
  gear: (
    <>
      <path d="M3 6h7M14 6h3M3 14h3M10 14h7" />
      <circle cx="12" cy="6" r="2" />
      <circle cx="8" cy="14" r="2" />
    </>
  ),
  layers: <path d="m10 3 7 3.5-7 3.5-7-3.5zM3 10l7 3.5 7-3.5M3 13.5 10 17l7-3.5" />,
  server: (
    <>
      <rect x="3" y="3.5" width="14" height="5.5" rx="1.5" />
      <rect x="3" y="11" width="14" height="5.5" rx="1.5" />
      <path d="M6 6.2h.01M6 13.8h.01" />
    </>
  ),
  users: (
    <>
      <circle cx="8" cy="7" r="3" />
      <path d="M2.8 16.5a5.2 5.2 0 0 1 10.4 0M13 4.3a3 3 0 0 1 0 5.4M14.8 12a5.2 5.2 0 0 1 2.4 4.5" />
    </>
  ),
  shield: <path d="M10 2.8 16 5v4.6c0 3.7-2.5 6.4-6 7.6-3.5-1.2-6-3.9-6-7.6V5zM7.4 9.9l1.9 1.9 3.4-3.6" />,
  list: <path d="M3.5 5h.01M3.5 10h.01M3.5 15h.01M7 5h10M7 10h10M7 15h10" />,
  tag: (
    <>
      <path d="M3 9.2V4a1 1 0 0 1 1-1h5.2a2 2 0 0 1 1.4.6l5.9 5.9a1.5 1.5 0 0 1 0 2.1l-4.9 4.9a1.5 1.5 0 0 1-2.1 0l-5.9-5.9A2 2 0 0 1 3 9.2z" />
      <path d="M6.5 6.5h.01" />
    </>
  ),
  plus: <path d="M10 4v12M4 10h12" />,
  close: <path d="m5 5 10 10M15 5 5 15" />,
  check: <path d="m4.5 10.5 3.5 3.5 7.5-8" />,
  menu: <path d="M3 6h14M3 10h14M3 14h14" />,
  more: <path d="M4.5 10h.01M10 10h.01M15.5 10h.01" strokeWidth="2.6" />,
  play: <path d="M6.5 4.3v11.4a.6.6 0 0 0 .9.5l9-5.7a.6.6 0 0 0 0-1l-9-5.7a.6.6 0 0 0-.9.5z" />,
  stop: <rect x="5" y="5" width="10" height="10" rx="1.5" />,
  restart: <path d="M16.5 10a6.5 6.5 0 1 1-2-4.7L16.5 7M16.5 3.2V7h-3.8" />,
  out: (
    <path d="M8 4H5a1.5 1.5 0 0 0-1.5 1.5v9.5A1.5 1.5 0 0 0 5 16.5h9.5A1.5 1.5 0 0 0 16 15v-3M11.5 3.5h5v5M16.3 3.7 9 11" />
  ),
  send: <path d="M10 16.5v-13M4.5 9 10 3.5 15.5 9" />,
  sun: (
    <>
      <circle cx="10" cy="10" r="3.4" />
      <path d="M10 2v1.6M10 16.4V18M2 10h1.6M16.4 10H18M4.3 4.3l1.2 1.2M14.5 14.5l1.2 1.2M4.3 15.7l1.2-1.2M14.5 5.5l1.2-1.2" />
    </>
  ),
  moon: <path d="M16.5 12A7 7 0 0 1 8 3.5a7 7 0 1 0 8.5 8.5z" />,
  system: (
    <>
      <rect x="2.5" y="4" width="15" height="10" rx="1.5" />
      <path d="M7 17h6" />
    </>
  ),
  copy: (
    <>
      <rect x="7" y="7" width="10" height="10" rx="2" />
      <path d="M13 7V5a2 2 0 0 0-2-2H5a2 2 0 0 0-2 2v6a2 2 0 0 0 2 2h2" />
    </>
  ),
  alert: (
    <path d="M10 7v4M10 14h.01M8.6 3.3 2.3 14.6A1.6 1.6 0 0 0 3.7 17h12.6a1.6 1.6 0 0 0 1.4-2.4L11.4 3.3a1.6 1.6 0 0 0-2.8 0z" />
  ),
  trash: <path d="M3.5 5.5h13M8 5.5v-2h4v2M5.5 5.5l.7 10.2a1.5 1.5 0 0 0 1.5 1.3h4.6a1.5 1.5 0 0 0 1.5-1.3l.7-10.2" />,
  left: <path d="m12 4.5-5.5 5.5 5.5 5.5" />,
  right: <path d="m8 4.5 5.5 5.5L8 15.5" />,
  down: <path d="m5 7.5 5 5 5-5" />,
  globe: (
    <>
      <circle cx="10" cy="10" r="7" />
      <path d="M3 10h14M10 3c2.2 2 3.2 4.3 3.2 7s-1 5-3.2 7c-2.2-2-3.2-4.3-3.2-7s1-5 3.2-7z" />
    </>
  ),
  leaf: (
    <path d="M16.5 3.5C9 3.5 4.5 6.5 4.5 11.500a4.5 4.5 0 0 0 4.5 4.500c5.5 0 7.5-5.5 7.5-12.500zM3.5 17c1.5-4 4-6.5 7.5-8" />
  ),
  wrench: (
    <path d="M12.8 3.2a4.3 4.3 0 0 0-4.6 5.700L3.3 13.800a2 2 0 0 0 2.9 2.900l4.9-4.900a4.3 4.3 0 0 0 5.7-4.600l-2.6 2.6-2.9-.9-.9-2.900z" />
  ),
  search: (
    <>
      <circle cx="8.8" cy="8.8" r="5.3" />
      <path d="m12.7 12.7 4.3 4.3" />
    </>
  ),
  pen: (
    <path d="m12.2 4.8 3 3M3.5 16.500l.8-3.8 9.4-9.400a1.5 1.5 0 0 1 2.1 0l.9.9a1.5 1.5 0 0 1 0 2.100l-9.4 9.400z" />
  ),
  pulse: <path d="M2.5 10.500h3.200l2.3-6 4 11 2.3-5h3.2" />,
  spark: (
    <path d="M10 2.800c.7 4.5 2.7 6.5 7.2 7.2-4.5.7-6.5 2.7-7.2 7.2-.7-4.5-2.7-6.5-7.2-7.2 4.5-.7 6.5-2.7 7.2-7.200z" />
  ),
  chat: (
    <path d="M4.5 3.5h11A1.5 1.5 0 0 1 17 5v7.5a1.5 1.5 0 0 1-1.5 1.5H10l-4 3.2V14H4.5A1.5 1.5 0 0 1 3 12.5V5a1.5 1.5 0 0 1 1.5-1.5z" />
  ),
  signOut: (
    <path d="M12 4.5V4a1.5 1.5 0 0 0-1.5-1.5h-5A1.5 1.5 0 0 0 4 4v12a1.5 1.5 0 0 0 1.5 1.5h5A1.5 1.5 0 0 0 12 16v-.5M8.5 10h9M14.5 7l3 3-3 3" />
  ),
} satisfies Record<string, ReactNode>

export type IconName = keyof typeof shapes

export function Icon({ name, className }: { name: IconName; className?: string }) {
  return (
    <svg
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      className={cn('shrink-0', className ?? 'size-4')}
    >
      {shapes[name]}
    </svg>
  )
}

export function Spinner({ className }: { className?: string }) {
  return (
    <svg
      viewBox="0 0 20 20"
      fill="none"
      aria-hidden="true"
      className={cn('shrink-0 animate-spin', className ?? 'size-4')}
    >
      <circle cx="10" cy="10" r="7" stroke="currentColor" strokeWidth="2" opacity="0.25" />
      <path d="M17 10a7 7 0 0 0-7-7" stroke="currentColor" strokeWidth="2" strokeLinecap="round" />
    </svg>
  )
}

/** A box with something sloshing in it. */
export function Logo({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 28 28" fill="none" aria-hidden="true" className={cn('shrink-0', className ?? 'size-6')}>
      <path
        d="M3 15c3.6-4 7.6-4 11.2-.8 3.5 3.1 7 3.2 10.8-.4V20a5 5 0 0 1-5 5H8a5 5 0 0 1-5-5z"
        fill="var(--accent)"
      />
      <rect x="3" y="3" width="22" height="22" rx="5.5" stroke="currentColor" strokeWidth="2.4" />
    </svg>
  )
}
