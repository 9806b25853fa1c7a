import { resourceServer } from 'oauth-resource-server'

const { ISSUER = 'https://as.example.com', RESOURCE = 'https://api.example.com' } = process.env

export const api = resourceServer({ resource: RESOURCE, issuers: [ISSUER], scopes: ['orders:read'] })
