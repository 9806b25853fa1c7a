/** Peers without types of their own. */
declare module 'jsonwebtoken'
declare module 'koa'
declare module 'passport'
declare module 'passport-jwt'
