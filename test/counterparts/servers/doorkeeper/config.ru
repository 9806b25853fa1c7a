# frozen_string_literal: true

# A Rails application with nothing but Doorkeeper: a client that acts for itself, and the API as a client.
require "logger"
require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "doorkeeper"

ENV["DATABASE_URL"] = "sqlite3:#{File.join(ENV.fetch("FOLDER"), "database")}"

class Site < Rails::Application
  config.root = ENV.fetch("FOLDER")
  config.eager_load = false
  config.secret_key_base = "a secret of the site"
  config.logger = Logger.new($stderr)
  config.hosts.clear
end

Doorkeeper.configure do
  orm :active_record
  grant_flows %w[client_credentials]
  default_scopes :"orders:read"
  optional_scopes :"invoices:read"
  # Without this line a client is told about its own tokens only.
  allow_token_introspection { |_token, client, _authorized_token| client&.name == "api" }
  # Each scope belongs to one API. Without this line no answer names an API.
  custom_introspection_response do |token, _context|
    { aud: token.scopes.exists?("orders:read") ? "https://api.example.com" : "https://other.example.com" }
  end
end

Rails.application.initialize!
Rails.application.routes.draw { use_doorkeeper }

ActiveRecord::Schema.define do
  create_table :oauth_applications do |t|
    t.string :name, null: false
    t.string :uid, null: false
    t.string :secret, null: false
    t.text :redirect_uri
    t.string :scopes, null: false, default: ""
    t.boolean :confidential, null: false, default: true
    t.timestamps null: false
  end
  create_table :oauth_access_tokens do |t|
    t.references :resource_owner
    t.references :application
    t.string :token, null: false
    t.string :refresh_token
    t.integer :expires_in
    t.datetime :revoked_at
    t.datetime :created_at, null: false
    t.string :scopes
  end
end

%w[service api].each do |name|
  Doorkeeper::Application.create!(
    name: name, uid: name, secret: ENV.fetch("SECRET"), redirect_uri: "https://client.example.com/", scopes: "orders:read invoices:read"
  )
end

run Rails.application
