export default { serverExternalPackages: ['oauth-resource-server'] }
