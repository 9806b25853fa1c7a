import { protectedResourceMetadata } from 'oauth-resource-server/fetch'
import { api } from '../../../api.js'

export const GET = protectedResourceMetadata(api)
export { GET as HEAD, GET as OPTIONS }
