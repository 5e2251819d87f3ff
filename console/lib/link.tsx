import { Link as RouterLink } from '@tanstack/react-router'
import type { ReactNode } from 'react'

interface LinkProps {
  /** From `paths`. */
  to: string
  children: ReactNode
  className?: string
  'aria-label'?: string
  /** Added to the classes while the link leads to the page that is shown (or, unless `exact`, one below it). */
  activeClass?: string
  inactiveClass?: string
  exact?: boolean
}

/** A link inside the console. Marks itself `aria-current="page"`. */
export function Link({ to, children, activeClass, inactiveClass, exact = false, ...rest }: LinkProps) {
  return (
    <RouterLink
      to={to}
      activeOptions={{ exact, includeSearch: false }}
      {...(activeClass === undefined ? {} : { activeProps: { className: activeClass } })}
      {...(inactiveClass === undefined ? {} : { inactiveProps: { className: inactiveClass } })}
      {...rest}
    >
      {children}
    </RouterLink>
  )
}
